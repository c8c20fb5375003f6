"""When a stage measures the validation accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from protoxai.training import Recipe, Stage
from protoxai.training.feeding.loaders import Splits
from protoxai.training.stages import callbacks
from protoxai.training.stages.checkpoints import State
from protoxai.training.stages.stage import StageRun, fit_stage
from tests.training.cases import Halves, micro, stage, toy_model, write


class HaltError(Exception):
    """Stops a stage as a crash would."""


class Watched:
    """Trains a stage on six images, in batches of two, and records the steps of validations."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        recipe = {"data.batch_size": 2, "data.crop": [16, 16], "checkpoint_every": 1}
        self._recipe = Recipe.load(write(micro(), folder), recipe)
        self._step = 0
        self._state: State | None = None
        self._accuracies = iter(range(100))
        self.validated: list[int] = []
        monkeypatch.setattr(callbacks.Validation, "__call__", self._record())
        monkeypatch.setattr(
            callbacks, "grid_scores", lambda *_, **__: {"accuracy": next(self._accuracies)}
        )

    def _record(self) -> Any:
        validate = callbacks.Validation.__call__

        def recorded(validation: Any, module: Any) -> None:
            self.validated.append(module.step)
            validate(validation, module)

        return recorded

    def fit(self, chosen: Stage, *, halt_at: int | None = None) -> None:
        """Train the stage from where it was halted."""
        torch.manual_seed(0)
        data = Halves(length=6)

        def save(step: int, state: State | None) -> None:
            self._state = state
            if step == halt_at:
                raise HaltError

        run = StageRun(
            model=toy_model(),
            stage=chosen,
            recipe=self._recipe,
            splits=Splits(data, data, data),
            seed=0,
            previous_steps=0,
            loggers=[],
            progress=False,
            save=save,
        )
        fit_stage(run, self._state)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"validate": "never"}, []),
        ({"validate": "epoch"}, [3, 6]),
        ({"validate": "epoch", "batch_size": 1}, [6]),
        ({"validate": "epoch", "batch_size": 3, "accumulate_grad_batches": 2}, list(range(1, 8))),
        ({"validate": 2}, [2, 4, 6]),
        ({"validate": 2, "batch_size": 1}, [2, 4, 6]),
        ({"validate": 6, "accumulate_grad_batches": 2}, [3, 6]),
        ({"validate": 100}, []),
    ],
)
def test_validations_come_after_so_many_batches(
    watched: Watched, changes: dict[str, Any], expected: list[int]
) -> None:
    watched.fit(stage(steps=7, **changes))
    assert watched.validated == expected


@pytest.mark.parametrize("halt_at", [1, 2, 3, 4])
def test_a_resumed_stage_validates_at_the_same_steps(watched: Watched, halt_at: int) -> None:
    chosen = stage(steps=7, validate=4, accumulate_grad_batches=2)
    with pytest.raises(HaltError):
        watched.fit(chosen, halt_at=halt_at)
    watched.fit(chosen)
    assert watched.validated == [2, 4, 6]


def test_patience_counts_validations_not_epochs(watched: Watched) -> None:
    watched._accuracies = iter([1, 2, 2, 2, 2])
    watched.fit(stage(steps=20, validate=2, patience=2))
    assert watched.validated == [2, 4, 6, 8]
