"""A recipe run from beginning to end."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger

from protoxai.heads import SparseGroupHead
from protoxai.losses import ScaleProtoSegLoss
from protoxai.model import LinearSegmenter, ScaleProtoSeg
from protoxai.projection import project_prototypes
from protoxai.segmenter import Segmenter
from protoxai.training.cache import CachedEmbeddings
from protoxai.training.evaluation import Scores, evaluate
from protoxai.training.initialise import initialise_prototypes
from protoxai.training.loaders import (
    Loader,
    Splits,
    class_weights,
    endless_loader,
    training_view,
    whole_images,
)
from protoxai.training.module import StageModule
from protoxai.training.progress import StageProgress
from protoxai.training.recipe import ModelRecipe, Recipe, RecipeError, Stage

Say = Callable[[str], None]
TITLES = {"project": "projection", "threshold": "threshold"}


@dataclass(frozen=True)
class Row:
    """The scores after a step of the run, and how long the step took, in seconds."""

    step: str
    scores: Scores
    seconds: float


@dataclass
class RunResult:
    """What a run gave.

    Attributes:
        recipe: as it was run.
        model: the trained model.
        rows: scores after each stage and each action.
        splits: the data.
    """

    recipe: Recipe
    model: Segmenter
    splits: Splits
    rows: list[Row] = field(default_factory=list)


def run(
    recipe: Recipe,
    output: str | Path,
    *,
    say: Say = print,
    progress: bool = True,
    splits: Splits | None = None,
) -> RunResult:
    """Train the recipe's model through all its stages, and evaluate it after each.

    Writes ``model/`` (see :meth:`~protoxai.ScaleProtoSeg.save_pretrained`), ``metrics.json`` and
    the logs of every loss term to the output folder.

    Args:
        recipe: what to do.
        output: folder, made if missing.
        say: gets a line for each stage and action.
        progress: show progress bars.
        splits: the data, where the recipe's is not to be opened again.

    Returns:
        The model and its scores.

    Example:
        >>> result = run(Recipe.load("shapes"), "runs/shapes")  # doctest: +SKIP
    """
    output = Path(output)
    lightning.seed_everything(recipe.seed, verbose=False)
    splits = splits or Splits.of(recipe.data)
    model = build_model(recipe.model, splits)
    result = RunResult(recipe, model, splits)
    runner = _Runner(result, output, say, progress)
    for stage in recipe.stages:
        runner.stage(stage)
    model.eval().save_pretrained(output / "model")
    write_metrics(output / "metrics.json", [result])
    return result


def build_model(recipe: ModelRecipe, splits: Splits) -> Segmenter:
    """Build a recipe's model, for the classes of the data."""
    options: dict[str, Any] = {
        "input_scales": recipe.input_scales,
        "output_stride": recipe.output_stride,
        "feature_levels": recipe.feature_levels,
        "atrous_rates": recipe.atrous_rates,
        "init_gain": recipe.init_gain,
        "freeze_batchnorm": recipe.freeze_batchnorm,
        "pretrained": recipe.pretrained,
        "class_names": splits.train.class_names,
    }
    model: Segmenter
    if recipe.architecture == "LinearSegmenter":
        model = LinearSegmenter(
            recipe.backbone, splits.train.num_classes, scales=recipe.scales, **options
        )
    else:
        model = ScaleProtoSeg(
            recipe.backbone,
            splits.train.num_classes,
            scales=recipe.scales,
            prototypes_per_scale=recipe.prototypes_per_scale,
            prototype_dim=recipe.prototype_dim,
            bounded_prototypes=recipe.bounded_prototypes,
            **options,
        )
    if recipe.batchnorm_momentum is not None:
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = recipe.batchnorm_momentum
    return model.to(memory_format=torch.channels_last)


def write_metrics(path: Path, results: list[RunResult]) -> None:
    """Write the scores of runs as JSON."""
    content = {
        result.recipe.name: {
            "class_names": result.splits.train.class_names,
            "steps": [
                {"step": row.step, "seconds": row.seconds, **asdict(row.scores)}
                for row in result.rows
            ],
        }
        for result in results
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


class _Runner:
    """Walks the stages of one run."""

    def __init__(self, result: RunResult, output: Path, say: Say, progress: bool) -> None:
        self.result = result
        self.recipe = result.recipe
        self.model = result.model
        self.output = output
        self.say = say
        self.progress = progress
        self.data = training_view(result.splits.train, self.recipe.data, self.model)
        self.validation = whole_images(result.splits.validation, self.recipe.data, self.model)
        self.class_weight = class_weights(result.splits.train, self.recipe.data)

    def stage(self, stage: Stage) -> None:
        """Do what comes before, train, evaluate, do what comes after."""
        started = time.monotonic()
        for action in stage.before:
            self.act(action, stage)
        self.train(stage)
        self.report(stage.name, started)
        for action in stage.after:
            started = time.monotonic()
            self.act(action, stage)
            self.report(TITLES.get(action, action), started)

    def train(self, stage: Stage) -> None:
        """Train the stage's parts for its steps."""
        criterion = ScaleProtoSegLoss(
            **stage.loss_weights,
            class_weight=self.class_weight,
            ignore_index=self.data.ignore_index,
        )
        loader = self.loader(stage)
        with warnings.catch_warnings():
            # Small data is read faster in the training process than by workers; frozen parts are in
            # evaluation mode on purpose; the rest is between Lightning and its own dependencies.
            for message in (".*does not have many workers.*", ".*in eval mode at the start.*"):
                warnings.filterwarnings("ignore", message)
            warnings.filterwarnings("ignore", ".*LeafSpec.*", module="lightning")
            trainer = lightning.Trainer(
                accelerator="auto",
                devices=1,
                max_epochs=1,
                precision=self.recipe.precision,
                accumulate_grad_batches=stage.accumulate,
                logger=CSVLogger(self.output, name="logs", version=_file_name(stage.name)),
                callbacks=[StageProgress(stage.name)] if self.progress else [],
                enable_progress_bar=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                log_every_n_steps=min(10, stage.steps),
            )
            trainer.fit(StageModule(self.model, stage, criterion), loader)

    def loader(self, stage: Stage) -> Loader:
        """Return the stage's batches: images, or embeddings where the trunk is frozen."""
        recipe = self.recipe.data
        batch_size = stage.batch_size or recipe.batch_size
        data = self.data
        if stage.cached_views:
            views = stage.cached_views * len(data) // recipe.batch_size
            images = endless_loader(data, views, recipe.batch_size, recipe)
            data = CachedEmbeddings(self.prototypical("cached_views"), images)
        return endless_loader(data, stage.steps * stage.accumulate, batch_size, recipe)

    def act(self, action: str, stage: Stage) -> None:
        """Do one of the recipe's actions."""
        model, recipe = self.prototypical(action), self.recipe
        if action == "initialise":
            images = endless_loader(self.data, 32, recipe.data.batch_size, recipe.data)
            initialise_prototypes(model, images, seed=recipe.seed)
        elif action == "project":
            images = whole_images(self.result.splits.train, recipe.data, model)
            project_prototypes(model, images, ignore_index=self.data.ignore_index)
        elif action == "group":
            model.group(stage.num_groups)
        elif action == "threshold":
            if not isinstance(model.head, SparseGroupHead):
                raise RecipeError(
                    f"stage {stage.name}: threshold needs groups: put group before it"
                )
            model.head.threshold_(stage.threshold)

    def prototypical(self, action: str) -> ScaleProtoSeg:
        """Return the model, if it has prototypes."""
        if not isinstance(self.model, ScaleProtoSeg):
            raise RecipeError(
                f"{action} needs prototypes, but the model is a {type(self.model).__name__}: take "
                f"{action} out of its stages"
            )
        return self.model

    def report(self, step: str, started: float) -> None:
        """Evaluate, keep the scores and say them."""
        seconds = time.monotonic() - started
        scores = evaluate(self.model, self.validation, ignore_index=self.data.ignore_index)
        self.result.rows.append(Row(step, scores, seconds))
        prototypes = ""
        if scores.prototypes:
            prototypes = f", {scores.active_prototypes} of {scores.prototypes} prototypes active"
        self.say(f"{step}: mIoU {100 * scores.mean_iou:.1f}{prototypes} ({seconds:.0f} s)")


def _file_name(stage: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in stage.lower())
