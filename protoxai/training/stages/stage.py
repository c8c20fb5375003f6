"""The training of one stage, by Lightning, from any step on."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from protoxai.losses import ScaleProtoSegLoss
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.distributed import own_device, world_size
from protoxai.runtime.extras import require
from protoxai.training.feeding.embedding_cache import CachedEmbeddings
from protoxai.training.feeding.loaders import (
    Loader,
    Splits,
    class_weights,
    drawn_batches,
    training_view,
    whole_images,
)
from protoxai.training.feeding.seeded_sampling import mixed_seed
from protoxai.training.recipes.errors import RunError
from protoxai.training.recipes.recipe import Recipe, Stage
from protoxai.training.stages.actions import prototypical
from protoxai.training.stages.callbacks import AfterSteps, ProgressBar, Validation
from protoxai.training.stages.checkpoints import State
from protoxai.training.stages.lightning_module import StageModule

CACHE_SEED, BATCH_SEED = 1, 2
EXPECTED_WARNINGS = (
    # Small data is read faster in the training process than by workers.
    ".*does not have many workers.*",
    # Frozen parts are in evaluation mode on purpose.
    ".*in eval mode at the start.*",
    # What is left of a resumed stage may be short.
    ".*smaller than the logging interval.*",
    # Between Lightning and its own dependencies.
    ".*LeafSpec.*",
)


@dataclass(frozen=True)
class StageRun:
    """All that the training of a stage needs.

    Attributes:
        model: changed in place.
        stage: what to train and how.
        recipe: of the run.
        splits: the data.
        seed: of the order of the data, augmentation and dropout.
        earlier: optimizer steps of the stages before, for the logs.
        loggers: of the run.
        progress: show a bar.
        save: is given the step and the state to go on from.
    """

    model: Segmenter
    stage: Stage
    recipe: Recipe
    splits: Splits
    seed: int
    earlier: int
    loggers: list[Logger]
    progress: bool
    save: Callable[[int, State], None]


def fit_stage(run: StageRun, state: State | None) -> None:
    """Train a stage's parts for the steps that are left.

    Args:
        run: what to train.
        state: what ``save`` was given, to go on from there; None: from the beginning.

    Raises:
        RunError: if the loss is not finite or a sample cannot be read.
    """
    stage, model, data = run.stage, run.model, run.splits.train
    state = state or {"step": 0, "optimizer": None, "validation": None, "scaler": None}
    validation = Validation(
        stage, whole_images(run.splits.validation, run.recipe.data, model), data.ignore_index
    )
    validation.state = state["validation"] or validation.state
    if state["step"] < stage.steps and not validation.is_over:
        criterion = ScaleProtoSegLoss(
            **stage.loss_weights,
            class_weight=class_weights(data, run.recipe.data),
            ignore_index=data.ignore_index,
        )
        module = StageModule(
            model,
            stage,
            criterion,
            seed=mixed_seed(run.seed, BATCH_SEED),
            start=state["step"],
            earlier=run.earlier,
            optimizer_state=state["optimizer"],
            log_every=min(run.recipe.log_every, stage.steps),
        )
        _train(run, module, _batches(run, state["step"]), validation, state["scaler"])
    validation.restore_best(model)
    model.to(own_device())


def run_loggers(recipe: Recipe, output: Path) -> list[Logger]:
    """Return the loggers of a run; each start of it gets a version of its own in ``logs/``."""
    loggers: list[Logger] = []
    for name in recipe.loggers:
        if name == "csv":
            loggers.append(CSVLogger(output / "logs", name="csv"))
        elif name == "tensorboard":
            require("train", "tensorboard")
            loggers.append(TensorBoardLogger(output / "logs", name="tensorboard"))
        else:
            require("train", "wandb")
            loggers.append(WandbLogger(name=recipe.name, save_dir=output / "logs"))
    return loggers


def _train(
    run: StageRun,
    module: StageModule,
    loader: Loader,
    validation: Validation,
    scaler: dict[str, Any] | None,
) -> None:
    stage, recipe = run.stage, run.recipe
    callbacks: list[lightning.Callback] = []
    if stage.validate == "epoch":
        share = recipe.data.batch_size * stage.accumulate * world_size()
        every = max(1, len(run.splits.train) // share)
        callbacks.append(AfterSteps(every, validation))
    callbacks.append(
        AfterSteps(
            recipe.checkpoint_every,
            lambda module: run.save(module.step, _training_state(module, validation)),
        )
    )
    if run.progress:
        callbacks.append(ProgressBar(stage))
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", world_size()))
    with warnings.catch_warnings():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message)
        trainer = lightning.Trainer(
            accelerator=own_device().type,
            devices=processes,
            num_nodes=world_size() // processes,
            strategy="ddp" if world_size() > 1 else "auto",
            sync_batchnorm=recipe.sync_batchnorm,
            use_distributed_sampler=False,
            max_epochs=1,
            precision=recipe.precision,
            accumulate_grad_batches=stage.accumulate,
            logger=run.loggers,
            callbacks=callbacks,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            log_every_n_steps=module.log_every,
        )
        if scaler is not None:
            trainer.strategy.precision_plugin.load_state_dict(scaler)
        try:
            trainer.fit(module, loader)
        except (RunError, KeyboardInterrupt):
            raise
        except (ValueError, OSError) as error:
            # A worker's error ends with the line that says what it was.
            line = str(error).strip().splitlines()[-1]
            raise RunError(f"stage {stage.name}, step {module.step}: {line}") from error


def _training_state(module: StageModule, validation: Validation) -> State:
    """Return what the stage needs, beside the model, to go on."""
    return {
        "step": module.step,
        "optimizer": module.trainer.optimizers[0].state_dict(),
        "scaler": module.trainer.strategy.precision_plugin.state_dict(),
        "validation": validation.state,
    }


def _batches(run: StageRun, start: int) -> Loader:
    """Return the stage's batches: images, or embeddings where the trunk is frozen."""
    stage, recipe = run.stage, run.recipe.data
    data: Any = training_view(run.splits.train, recipe, run.model)
    if stage.cached_views:
        views = max(1, stage.cached_views * len(data) // recipe.batch_size)
        images = drawn_batches(
            data,
            views,
            recipe.batch_size,
            seed=mixed_seed(run.seed, CACHE_SEED),
            workers=recipe.workers,
            shared=True,
        )
        data = CachedEmbeddings(prototypical(run.model, "cached_views"), images)
    return drawn_batches(
        data,
        stage.steps * stage.accumulate,
        stage.batch_size or recipe.batch_size,
        seed=run.seed,
        workers=0 if stage.cached_views else recipe.workers,
        start=start * stage.accumulate,
    )
