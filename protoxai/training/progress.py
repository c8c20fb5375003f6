"""A progress bar for a stage: steps, loss, time left."""

from __future__ import annotations

from typing import Any

import lightning
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class StageProgress(lightning.Callback):
    """Shows how far a stage is, in batches, with its loss and the time left.

    Args:
        name: of the stage.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TimeRemainingColumn(),
            transient=True,
        )

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Start the bar."""
        self._task = self._bar.add_task(
            self.name, total=trainer.num_training_batches, loss=float("nan")
        )
        self._bar.start()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Move on by a batch."""
        loss = trainer.callback_metrics.get("train/loss", float("nan"))
        self._bar.update(self._task, advance=1, loss=float(loss))

    def on_train_end(self, *_: Any) -> None:
        """Take the bar away: the stage's line follows."""
        self._bar.stop()

    def on_exception(self, *_: Any) -> None:
        """Take the bar away, so that the error can be read."""
        self._bar.stop()
