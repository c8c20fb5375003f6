"""The results of a run, as values and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from protoxai.evaluation.scores import Scores
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.files import write_json
from protoxai.training.feeding.loaders import Splits
from protoxai.training.recipes.recipe import Recipe


@dataclass(frozen=True)
class Row:
    """Scores after one step of a run.

    Attributes:
        step: Name of the stage or of the action.
        scores: Scores on the validation split.
        seconds: Duration of the step.
    """

    step: str
    scores: Scores
    seconds: float

    def to_plain(self) -> dict[str, Any]:
        """Return the row as plain values."""
        scores = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self.scores).items()
        }
        return {"step": self.step, "seconds": self.seconds, **scores}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Row:
        """Return the row of plain values.

        Args:
            values: What :meth:`to_plain` returned.
        """
        scores: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name not in ("step", "seconds")
        }
        return cls(values["step"], Scores(**scores), values["seconds"])


@dataclass(frozen=True)
class RunResult:
    """Results of a run.

    Attributes:
        recipe: Recipe as it was run.
        model: Trained model, in evaluation mode.
        splits: Data of the run.
        rows: Scores after each stage and each action.
    """

    recipe: Recipe
    model: Segmenter
    splits: Splits
    rows: tuple[Row, ...]


def write_metrics(path: Path, results: list[RunResult]) -> None:
    """Write the scores of runs as JSON.

    Args:
        path: File to write; its folder is made if it is missing.
        results: Results of one or more runs.
    """
    content = {
        result.recipe.name: {
            "method": result.recipe.method,
            "target": result.recipe.target,
            "class_names": result.splits.train.class_names,
            "steps": [row.to_plain() for row in result.rows],
        }
        for result in results
    }
    write_json(path, content)
