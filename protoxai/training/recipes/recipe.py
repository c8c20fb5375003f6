"""Recipes: everything that decides a training run, typed, read from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from protoxai.runtime.checks import AT_LEAST_ONE, Range, short, shown
from protoxai.runtime.slug import slug
from protoxai.training.recipes.construct import check_fields
from protoxai.training.recipes.data_recipe import DataRecipe
from protoxai.training.recipes.model_recipe import ModelRecipe
from protoxai.training.recipes.reader import read_recipe
from protoxai.training.recipes.stage_recipe import BEFORE_PROJECTION, Stage, check_name
from protoxai.training.recipes.yaml_files import RecipeError

SMOKE_SIZE = (65, 65)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run.

    Attributes:
        name: Name of the run.
        data: Data to train and evaluate on.
        model: Model to train.
        stages: Stages, one after another. On the command line, ``--stages.NAME.KEY=VALUE`` changes
            a key of one, and ``--stages.NAME=null`` removes it.
        baseline: Whether to train DeepLabv2 on the same trunk for the same budget too, to compare
            with.
        target: Published figure that the recipe should reach.
        seed: Seed of everything random.
        precision: Precision of the trunk in training: 32-true, bf16-mixed or 16-mixed.
        sync_batchnorm: Whether batch statistics are computed over all processes.
        checkpoint_every: Number of optimizer steps between checkpoints.
        log_every: Number of optimizer steps between entries of the logs.
        loggers: Loggers: csv, tensorboard, wandb.
        plugins: Modules of your own to import first, each a dotted name or the path of a .py file
            (relative to the recipe), which register data sets, losses, metrics or explainers.

    Example:
        >>> recipe = Recipe.load("shapes")
        >>> recipe.model.architecture
        'ScaleProtoSeg'
    """

    name: str
    data: DataRecipe
    model: ModelRecipe
    stages: list[Stage]
    baseline: bool = False
    seed: Annotated[int, Range(least=0, most=2**32 - 1)] = 20220227
    target: str = ""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    sync_batchnorm: bool = False
    checkpoint_every: Annotated[int, AT_LEAST_ONE] = 500
    log_every: Annotated[int, AT_LEAST_ONE] = 10
    loggers: tuple[Literal["csv", "tensorboard", "wandb"], ...] = ("csv", "tensorboard")
    plugins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every key, and that the stages fit the model and follow one another."""
        check_fields(self)
        check_name("name", self.name)
        self._check_stages()

    def _check_stages(self) -> None:
        if not self.stages:
            raise RecipeError(f"{short(self.name)}: stages is empty, so nothing would train")
        names: dict[str, str] = {}
        for stage in self.stages:
            # Some file systems take upper and lower case for the same.
            file_name = slug(stage.name).lower()
            if file_name in names:
                raise RecipeError(
                    f"the stages {shown(names[file_name])} and {shown(stage.name)} have the same "
                    "name in files: rename one"
                )
            names[file_name] = stage.name
        has_prototypes = self.model.architecture == "ScaleProtoSeg"
        grouped = projected = False
        for stage in self.stages:
            place = f"stage {short(stage.name)}"
            parts = {*stage.before, *stage.after, *stage.learning_rates} - {"backbone", "scales"}
            if parts and not has_prototypes:
                raise RecipeError(
                    f"{place}: {', '.join(sorted(parts))} needs prototypes, but the model is a "
                    f"{self.model.architecture}: remove it"
                )
            for name in (*stage.before, *stage.learning_rates, *stage.after):
                projected = projected and name not in BEFORE_PROJECTION
                if name == "group" and grouped:
                    raise RecipeError(f"{place}: the model is grouped already: remove group")
                grouped = grouped or name == "group"
                if name in ("groups", "threshold") and not grouped:
                    raise RecipeError(
                        f"{place}: {name} needs groups: put group into `before` of this stage or "
                        "of one before it"
                    )
                if name in ("initialise", "project", "prune") and grouped:
                    raise RecipeError(f"{place}: {name} is for stage 1: put it before group")
                projected = projected or name == "project"
                if name == "prune" and not projected:
                    raise RecipeError(f"{place}: prune needs projected prototypes: project first")

    @classmethod
    def load(cls, source: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Self:
        """Read a recipe.

        Args:
            source: A YAML file, or the name of a recipe that comes with the package.
            overrides: Keys that replace those of the file, as command-line arguments
                (``["--data.root=/data/camvid"]``) or as values (``{"data.root": "/data/camvid"}``).

        Raises:
            RecipeError: If there is no such recipe, or a key or a value does not fit.
        """
        recipe: Self = read_recipe(cls, source, overrides)
        return recipe

    @property
    def method(self) -> str:
        """The paper's name of the model: ScaleProtoSeg, ProtoSeg or DeepLabv2."""
        if self.model.architecture == "LinearSegmenter":
            return "DeepLabv2"
        return "ProtoSeg" if self.model.scales == "atrous-sum" else "ScaleProtoSeg"

    def smoke(self) -> Self:
        """Return the recipe with one step per stage, small crops and a small evaluation."""
        stages = [replace(stage, steps=1) for stage in self.stages]
        sizes: dict[str, Any] = {"evaluation_size": SMOKE_SIZE, "projection_size": "size"}
        data = replace(self.data, crop=SMOKE_SIZE, **sizes)
        return replace(self, data=data, stages=stages)

    def as_baseline(self) -> Self:
        """Return the recipe of DeepLabv2 on the same trunk, trained for as many steps."""
        trunk = ("backbone", "scales")
        stages = [
            replace(
                stage,
                before=(),
                after=(),
                learning_rates={p: v for p, v in stage.learning_rates.items() if p in trunk},
                weight_decay={p: v for p, v in stage.weight_decay.items() if p in trunk},
                losses={"cross_entropy": 1.0},
            )
            for stage in self.stages
            if set(trunk) & set(stage.learning_rates)
        ]
        model = replace(self.model, architecture="LinearSegmenter", scales="atrous-sum")
        name = f"{self.name}-deeplabv2"
        return replace(self, name=name, model=model, stages=stages, baseline=False)

    def as_protoseg(self, per_class: int = 10) -> Self:
        """Return the recipe of ProtoSeg: one scale, more prototypes, no groups.

        Args:
            per_class: Number of prototypes per class.
        """
        changes: dict[str, Any] = {"scales": "atrous-sum", "prototypes_per_scale": per_class}
        model = replace(self.model, **changes)
        stages = [stage for stage in self.stages if "groups" not in stage.learning_rates]
        name = f"{self.name}-protoseg"
        return replace(self, name=name, model=model, stages=stages, baseline=False)
