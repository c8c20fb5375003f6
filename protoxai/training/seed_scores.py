"""Means and standard deviations of scores over seeds, as text, Markdown, LaTeX and JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from protoxai.runtime.text_tables import (
    latex_table,
    latex_text,
    markdown_table,
    markdown_text,
    text_table,
)

HEADER = ("model", "after", "mIoU", "prototypes in use", "seeds")


@dataclass(frozen=True)
class Spread:
    """Values of one figure, one for each seed.

    Attributes:
        values: Value of each seed, in order; NaN where the figure is undefined.

    Example:
        >>> print(Spread((61.0, 62.0, 64.0)), Spread((61.0,)), Spread(()))
        62.3 ± 1.5 61.0 undefined
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean; NaN without a value, or if one is NaN."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def sd(self) -> float:
        """The sample standard deviation, over n - 1; NaN for fewer than two values."""
        if len(self.values) < 2 or not all(map(math.isfinite, self.values)):
            return math.nan
        return statistics.stdev(self.values)

    def text(self, digits: int = 1) -> str:
        """Return the mean and the standard deviation, which a single value does not have.

        Args:
            digits: Number of decimal places.
        """
        if math.isnan(self.mean):
            return "undefined"
        mean = f"{self.mean:.{digits}f}"
        return mean if math.isnan(self.sd) else f"{mean} ± {self.sd:.{digits}f}"

    def __str__(self) -> str:
        return self.text()

    def to_plain(self) -> dict[str, Any]:
        """Return the values, their number, mean and standard deviation as plain values."""
        values = list(self.values)
        return {"mean": self.mean, "sd": self.sd, "n": len(values), "values": values}


@dataclass(frozen=True)
class SeedRow:
    """Scores after one step of the training, over seeds.

    Attributes:
        model: Name of the model.
        step: Name of the stage or of the action.
        mean_iou: Mean intersection over union, in percent.
        active_prototypes: Number of prototypes in use; None for a model without.
    """

    model: str
    step: str
    mean_iou: Spread
    active_prototypes: Spread | None

    def cells(self) -> list[str]:
        """Return the texts of the row."""
        active = "" if self.active_prototypes is None else self.active_prototypes.text(0)
        return [self.model, self.step, str(self.mean_iou), active, str(len(self.mean_iou.values))]


@dataclass(frozen=True)
class SeedScores:
    """Scores over seeds: a row for each step of each model.

    Attributes:
        rows: Rows in the order of the training.

    Example:
        >>> step = {"step": "joint", "mean_iou": 0.61, "prototypes": 0, "active_prototypes": 0}
        >>> runs = [[step], [{**step, "mean_iou": 0.63}]]
        >>> print(SeedScores.of({"DeepLabv2": runs}).to_text())
        model      after  mIoU        prototypes in use  seeds
        DeepLabv2  joint  62.0 ± 1.4                     2
    """

    rows: tuple[SeedRow, ...]

    @classmethod
    def of(cls, runs: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]) -> SeedScores:
        """Collect the scores of each model.

        Args:
            runs: Steps of each seed, as ``metrics.json`` holds them, by the name of the model.

        Raises:
            ValueError: If the runs of a model do not have the same steps.
        """
        rows: list[SeedRow] = []
        for model, seeds in runs.items():
            names = [[step["step"] for step in steps] for steps in seeds]
            if any(other != names[0] for other in names):
                wrong = next(other for other in names if other != names[0])
                raise ValueError(
                    f"the runs of {model} have different steps, {', '.join(names[0])} and "
                    f"{', '.join(wrong)}: give runs of one recipe"
                )
            rows += [_row(model, steps) for steps in zip(*seeds, strict=True)]
        return cls(tuple(rows))

    def to_text(self) -> str:
        """Return the table for a terminal."""
        return text_table(self._lines())

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        return markdown_table([list(map(markdown_text, line)) for line in self._lines()])

    def to_latex(self) -> str:
        """Return the table in LaTeX, for the package booktabs."""
        return latex_table([list(map(latex_text, line)) for line in self._lines()], "llccc")

    def to_plain(self) -> list[dict[str, Any]]:
        """Return the rows as plain values."""
        return [
            {
                "model": row.model,
                "step": row.step,
                "mean_iou": row.mean_iou.to_plain(),
                "active_prototypes": row.active_prototypes and row.active_prototypes.to_plain(),
            }
            for row in self.rows
        ]

    def _lines(self) -> list[list[str]]:
        return [list(HEADER), *(row.cells() for row in self.rows)]


def conditions(environments: Sequence[Mapping[str, Any]]) -> str:
    """Return the threads, processes and versions of runs, on which their last bits depend.

    Args:
        environments: Content of the ``environment.json`` of each run.

    Example:
        >>> one = {"processes": 1, "threads": 2, "devices": [], "libraries": {"torch": "2.9.0"}}
        >>> conditions([one, {**one, "threads": 1}])
        'torch 2.9.0; 1 or 2 threads'
    """
    versions = sorted({each["libraries"]["torch"] for each in environments})
    parts = [f"torch {' or '.join(versions)}"]
    for singular, plural in (("thread", "threads"), ("process", "processes")):
        counts = sorted({each[plural] for each in environments})
        if plural == "threads" or counts != [1]:
            unit = singular if counts == [1] else plural
            parts.append(f"{' or '.join(map(str, counts))} {unit}")
    devices = sorted({device for each in environments for device in each["devices"]})
    return "; ".join(parts + [" or ".join(devices)] * bool(devices))


def _row(model: str, steps: Sequence[Mapping[str, Any]]) -> SeedRow:
    # JSON has null for a figure that is undefined.
    scores = (math.nan if step["mean_iou"] is None else step["mean_iou"] for step in steps)
    active = None
    if any(step["prototypes"] for step in steps):
        active = Spread(tuple(float(step["active_prototypes"]) for step in steps))
    return SeedRow(model, steps[0]["step"], Spread(tuple(100 * s for s in scores)), active)
