"""The training of one stage by Lightning, from any step."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from protoxai.losses import ScaleProtoSegLoss
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.distributed import own_device, share_buffers, world_size
from protoxai.runtime.extras import require
from protoxai.runtime.finite import check_finite_weights
from protoxai.runtime.stopping import finish_first, stop_if_requested
from protoxai.training.feeding.embedding_cache import CachedEmbeddings
from protoxai.training.feeding.loaders import (
    Loader,
    Splits,
    class_weights,
    evaluation_loader,
    training_loader,
    training_view,
)
from protoxai.training.feeding.seeded_sampling import mixed_seed
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.stage_recipe import Stage
from protoxai.training.stages.actions import with_prototypes
from protoxai.training.stages.callbacks import (
    ProgressBar,
    SaveSteps,
    Validate,
    Validation,
)
from protoxai.training.stages.checkpoints import State
from protoxai.training.stages.errors import explaining
from protoxai.training.stages.lightning_module import StageModule
from protoxai.training.stages.lightning_processes import OneDeviceEach

CACHE_SEED, BATCH_SEED = 1, 2
FIX = "lower the learning rates, or use precision 32-true; the last checkpoint is intact"
EXPECTED_WARNINGS = (
    # Small data is read faster in the training process than by workers.
    ".*does not have many workers.*",
    # Frozen parts are in evaluation mode on purpose.
    ".*in eval mode at the start.*",
    # The rest of a resumed stage may be short.
    ".*smaller than the logging interval.*",
    # Between Lightning and its own dependencies.
    ".*LeafSpec.*",
)


@dataclass(frozen=True)
class StageRun:
    """Everything that the training of one stage depends on.

    Attributes:
        model: Model to train, in place.
        stage: Stage to train.
        recipe: Recipe of the run.
        splits: Data of the run.
        seed: Seed of the order of the data, augmentation and dropout.
        previous_steps: Number of optimizer steps of the stages before, for the logs.
        loggers: Loggers of the run.
        progress: Whether to show a progress bar.
        save: Function that receives the step and the state to continue from, which is None once
            the stage is trained.
    """

    model: Segmenter
    stage: Stage
    recipe: Recipe
    splits: Splits
    seed: int
    previous_steps: int
    loggers: list[Logger]
    progress: bool
    save: Callable[[int, State | None], None]


def fit_stage(run: StageRun, state: State | None) -> None:
    """Train a stage's parts for the remaining steps, and save the result.

    A signal stops the training after the current step, which is saved.

    Args:
        run: Model, stage, data and the rest.
        state: State that ``save`` received, to continue from; None for the beginning.

    Raises:
        RunError: If the loss or a weight is not finite, a sample cannot be read, or a worker was
            killed.
        Stopped: If a signal has stopped the stage.
    """
    stage, model, data = run.stage, run.model, run.splits.train
    state = state or {"step": 0, "optimizer": None, "validation": None, "scaler": None}
    validation = Validation(
        stage, evaluation_loader(run.splits.validation, run.recipe.data, model), data.ignore_index
    )
    validation.state = state["validation"] or validation.state
    step, train = state["step"], None
    if step < stage.steps and not validation.is_over:
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
            start=step,
            previous_steps=run.previous_steps,
            optimizer_state=state["optimizer"],
            log_every=min(run.recipe.log_every, stage.steps),
        )
        batches = _batches(run, step)
        train = partial(_train, run, module, batches, validation, state["scaler"])
    with finish_first():
        if train is not None:
            step = train()
        validation.restore_best(model)
        share_buffers(model.to(own_device()))
        with explaining(lambda: f"stage {stage.name}, after step {step}, its last"):
            check_finite_weights(model, fix=FIX)
        run.save(step, None)


def run_loggers(recipe: Recipe, output: Path) -> list[Logger]:
    """Return the loggers of a run; each start of it gets its own version in ``logs/``.

    Args:
        recipe: Recipe of the run.
        output: Folder of the run.
    """
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
) -> int:
    """Train until the stage is over, and return the number of its steps that are done."""
    stage, recipe = run.stage, run.recipe
    callbacks: list[lightning.Callback] = []
    if stage.validate != "never":
        callbacks.append(Validate(_steps_between_validations(run), validation))
    saving = SaveSteps(
        recipe.checkpoint_every,
        lambda module: _save(run, module, validation),
        start=module.start,
    )
    callbacks.append(saving)
    if run.progress:
        callbacks.append(ProgressBar(stage))
    device = own_device()
    with warnings.catch_warnings():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message)
        trainer = lightning.Trainer(
            accelerator=device.type,
            devices=1 if device.index is None else [device.index],
            num_nodes=world_size(),
            strategy="ddp" if world_size() > 1 else "auto",
            plugins=[OneDeviceEach()],
            sync_batchnorm=recipe.sync_batchnorm,
            use_distributed_sampler=False,
            max_epochs=1,
            precision=recipe.precision,
            accumulate_grad_batches=stage.accumulate_grad_batches,
            logger=run.loggers,
            callbacks=callbacks,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            log_every_n_steps=module.log_every,
        )
        if scaler is not None:
            trainer.strategy.precision_plugin.load_state_dict(scaler)
        with explaining(lambda: f"stage {stage.name}, step {module.step}"):
            trainer.fit(module, loader)
    if saving.stopped:
        stop_if_requested()
    return module.step


def _steps_between_validations(run: StageRun) -> int:
    """Return the number of optimizer steps from one validation to the next."""
    batches, accumulated = run.stage.validate, run.stage.accumulate_grad_batches
    if isinstance(batches, int):
        return batches // accumulated
    batch_size = run.stage.batch_size or run.recipe.data.batch_size
    return max(1, len(run.splits.train) // (batch_size * accumulated * world_size()))


def _save(run: StageRun, module: StageModule, validation: Validation) -> None:
    """Save the stage after one of its steps, unless the step has ruined the model."""
    check_finite_weights(run.model, fix=FIX)
    run.save(module.step, _training_state(module, validation))


def _training_state(module: StageModule, validation: Validation) -> State:
    """Return what the stage needs beside the model to continue."""
    return {
        "step": module.step,
        "optimizer": module.trainer.optimizers[0].state_dict(),
        "scaler": module.trainer.strategy.precision_plugin.state_dict(),
        "validation": validation.state,
    }


def _batches(run: StageRun, start: int) -> Loader:
    """Return the stage's batches: images, or cached embeddings of a frozen trunk."""
    stage, recipe = run.stage, run.recipe.data
    data: Any = training_view(run.splits.train, recipe, run.model)
    if stage.cached_views:
        views = max(1, stage.cached_views * len(data) // recipe.batch_size)
        images = training_loader(
            data,
            views,
            recipe.batch_size,
            seed=mixed_seed(run.seed, CACHE_SEED),
            workers=recipe.workers,
            shared=True,
        )
        data = CachedEmbeddings(with_prototypes(run.model, "cached_views"), images)
    return training_loader(
        data,
        stage.steps * stage.accumulate_grad_batches,
        stage.batch_size or recipe.batch_size,
        seed=run.seed,
        workers=0 if stage.cached_views else recipe.workers,
        start=start * stage.accumulate_grad_batches,
    )
