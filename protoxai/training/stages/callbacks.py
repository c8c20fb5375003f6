"""Callbacks during the training of a stage: checkpoints, validation, a progress bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from protoxai.evaluation.scores import grid_scores
from protoxai.runtime.distributed import share_buffers
from protoxai.runtime.stopping import listen, stop_requested
from protoxai.training.feeding.loaders import Loader
from protoxai.training.recipes.stage_recipe import Stage
from protoxai.training.stages.lightning_module import StageModule
from protoxai.training.stages.optimisation import training_mode


class SaveSteps(lightning.Callback):
    """Saves a stage after every so many optimizer steps, and after the last one before it stops.

    A signal stops the stage after the current step. An error may come between two steps, out of a
    loader, a logger or the validation; then the last step is saved too, so that it is not lost.

    Args:
        every: Number of optimizer steps between checkpoints, counted from the stage's beginning.
        save: Function that receives the Lightning module.
        start: Step at which the stage continues.

    Attributes:
        stopped: Whether a signal has stopped the stage.
    """

    def __init__(self, every: int, save: Callable[[StageModule], None], start: int) -> None:
        self.stopped = False
        self._every = every
        self._save = save
        self._last = self._saved = start
        self._between = False

    def on_train_start(self, *_: Any) -> None:
        """Receive signals, which Lightning has begun to receive in the meantime."""
        listen()

    def on_train_batch_start(self, *_: Any) -> None:
        """Note that the model is within a step: its batch statistics change before its weights."""
        self._between = False

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: Any) -> None:
        """Save if the batch completed such a step, or the stage stops."""
        if module.step == self._last:
            return
        self._last = module.step
        self._between = True
        self.stopped = stop_requested()
        if self.stopped or module.step % self._every == 0:
            self._save_once(module)
        if self.stopped:
            trainer.should_stop = True

    def on_exception(self, _: lightning.Trainer, module: Any, __: BaseException) -> None:
        """Save the last step if the error is not within the next one."""
        # A validation that failed is repeated, which a stage that is over would not do.
        in_validation = self._last < module.step < module.stage.steps
        if (self._between or in_validation) and module.step != self._saved:
            self._save_once(module)

    def _save_once(self, module: StageModule) -> None:
        # Whether or not it succeeds: a full disk is full the second time too.
        self._saved = module.step
        self._save(module)


class Validate(lightning.Callback):
    """Validates after every so many optimizer steps of a stage.

    Args:
        every: Number of optimizer steps between validations, counted from the stage's beginning.
        validation: Validation of the stage.
    """

    def __init__(self, every: int, validation: Validation) -> None:
        self._every = every
        self._validation = validation
        self._last = 0

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Repeat a validation that failed, and count from the step at which the stage continues."""
        self._last = self._validation.state.get("step", module.step)
        self.on_train_batch_end(trainer, module)

    def on_train_batch_end(self, _: lightning.Trainer, module: Any, *__: Any) -> None:
        """Validate if the batch completed such a step."""
        if module.step != self._last and module.step % self._every == 0:
            self._validation(module)
        self._last = module.step


class Validation:
    """Measures the validation accuracy while a stage trains, and keeps the best weights.

    Accuracy is the share of labelled pixels that are right at feature resolution.

    Args:
        stage: Stage with its ``patience`` and ``keep_best``.
        loader: Batches of validation images.
        ignore_index: Label of pixels that do not count.
    """

    def __init__(self, stage: Stage, loader: Loader, ignore_index: int) -> None:
        self._stage = stage
        self._loader = loader
        self._ignore_index = ignore_index
        self.state: dict[str, Any] = {"step": 0, "best": -1.0, "since": 0, "weights": {}}

    def __call__(self, module: StageModule) -> None:
        """Validate, and stop the trainer once the patience is exhausted."""
        model, state = module.model, self.state
        share_buffers(model)
        scores = grid_scores(model, self._loader, ignore_index=self._ignore_index)
        training_mode(model, self._stage)
        logged = {f"validation/{name}": score for name, score in scores.items()}
        for logger in module.trainer.loggers:
            logger.log_metrics(logged, module.previous_steps + module.step)
        accuracy = scores["accuracy"]
        state["step"] = module.step
        if accuracy > state["best"]:
            state["best"], state["since"] = accuracy, 0
            if self._stage.keep_best:
                frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
                state["weights"] = {
                    name: value.detach().cpu().clone()
                    for name, value in model.state_dict().items()
                    if name not in frozen
                }
        else:
            state["since"] += 1
        if self.is_over:
            module.trainer.should_stop = True

    @property
    def is_over(self) -> bool:
        """Whether the accuracy has not risen for as many validations as the patience allows."""
        patience = self._stage.patience
        return patience is not None and self.state["since"] >= patience

    @torch.no_grad()
    def restore_best(self, model: torch.nn.Module) -> None:
        """Load the weights of the best validation into the model, if the stage keeps them."""
        for name, value in self.state["weights"].items():
            model.state_dict()[name].copy_(value)


class ProgressBar(lightning.Callback):
    """Shows the progress of a stage in batches, its loss and the remaining time.

    Args:
        stage: Stage that is trained.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TimeRemainingColumn(),
            transient=True,
        )

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Start the bar."""
        done = module.start * self._stage.accumulate_grad_batches
        total = done + int(trainer.num_training_batches)
        self._task = self._bar.add_task(
            self._stage.name, total=total, completed=done, loss=float("nan")
        )
        self._bar.start()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Advance by one batch."""
        loss = trainer.callback_metrics.get("loss", float("nan"))
        self._bar.update(self._task, advance=1, loss=float(loss))

    def on_train_end(self, *_: Any) -> None:
        """Remove the bar; the stage's line in the log follows."""
        self._bar.stop()

    def on_exception(self, *_: Any) -> None:
        """Remove the bar, so that the error can be read."""
        self._bar.stop()
