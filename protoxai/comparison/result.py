"""Values of one metric for one explainer, task by task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Result:
    """Values of one metric for one explainer, task by task.

    Attributes:
        explainer: Name of the explainer.
        metric: Name of the metric.
        figures: Figures of the metric, and whether higher is better (None: neither).
        indices: Numbers of the tasks.
        rows: A value of each figure for each task; NaN where it is undefined.
        seconds: Time that the measurement took.
        failure: Reason why tasks are missing; empty if none are.
        reasons: Reason for each task why values of it are undefined; empty if they are defined.
        shares: Names of the figures whose values are 0 or 1.
        model: Name of the explained model.
        reference: Whether the explainer is a reference, which does not compete.
        complete: Whether another measurement would add nothing.

    Raises:
        ValueError: If there are not as many rows and reasons as tasks, or values as figures.
    """

    explainer: str
    metric: str
    figures: Mapping[str, bool | None]
    indices: tuple[int, ...]
    rows: tuple[tuple[float, ...], ...]
    seconds: float
    failure: str
    reasons: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    model: str = ""
    reference: bool = False
    complete: bool = True

    def __post_init__(self) -> None:
        if not self.reasons:
            object.__setattr__(self, "reasons", ("",) * len(self.indices))
        widths = {len(row) for row in self.rows} - {len(self.figures)}
        counts = {len(self.rows), len(self.reasons)} - {len(self.indices)}
        if counts or widths or len(set(self.indices)) < len(self.indices):
            raise ValueError(
                f"{self.explainer}, {self.metric}: got {len(self.rows)} rows and "
                f"{len(self.reasons)} reasons for {len(set(self.indices))} tasks and "
                f"{len(self.figures)} figures, expected a row of all figures for each task"
            )

    def values(self, figure: str) -> dict[int, float]:
        """Return the defined values of a figure by task."""
        column = list(self.figures).index(figure)
        pairs = zip(self.indices, (row[column] for row in self.rows), strict=True)
        return {index: value for index, value in pairs if value == value}

    def undefined(self, figure: str) -> Counter[str]:
        """Return the reasons why a figure is undefined for tasks, each with their number.

        Args:
            figure: Name of the figure.
        """
        defined = self.values(figure)
        pairs = zip(self.indices, self.reasons, strict=True)
        return Counter(
            reason or "the metric has no value" for index, reason in pairs if index not in defined
        )

    def to_config(self) -> dict[str, Any]:
        """Return plain values for JSON, with null for undefined ones."""
        rows = [[value if value == value else None for value in row] for row in self.rows]
        return {**asdict(self), "rows": rows}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the result that :meth:`to_config` described."""
        rows = [
            tuple(float("nan") if value is None else float(value) for value in row)
            for row in config["rows"]
        ]
        lists = {name: tuple(config[name]) for name in ("indices", "reasons", "shares")}
        return cls(**{**config, **lists, "rows": tuple(rows)})
