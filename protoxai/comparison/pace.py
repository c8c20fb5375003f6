"""The time that a comparison takes, estimated from what it has measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protoxai.comparison.measurement import Cell


class Pace:
    """Seconds that each explainer and metric has taken on a task.

    Args:
        cells: Explainers and metrics.

    Example:
        >>> from protoxai.comparison.measurement import Cell
        >>> from protoxai.metrics import Complexity, Sparseness
        >>> kinds = {"sparseness": Sparseness, "complexity": Complexity}
        >>> names = ["one", "other"]
        >>> pace = Pace([Cell(name, "model", *kind) for name in names for kind in kinds.items()])
        >>> for place, seconds in enumerate([5, 1, 7]):
        ...     pace.add(place, seconds)
        >>> pace.of([2, 3])  # The second explainer's complexity takes as long as the first's.
        8.0
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = cells
        self._seconds: dict[int, list[float]] = {}

    def add(self, place: int, seconds: float) -> None:
        """Add the seconds that a cell has taken on a task."""
        self._seconds.setdefault(place, []).append(seconds)

    def of(self, places: Iterable[int]) -> float:
        """Return the seconds that cells will take on a task each, by what has been added.

        A cell that has not been measured takes as long as the last one of its metric; if there is
        none, as long as the mean of all, 0 if nothing is known.

        Args:
            places: Places of the cells, one for each task that they are measured on.
        """
        expected = {place: fmean(seconds) for place, seconds in self._seconds.items()}
        of_metric = {self._cells[place].name: mean for place, mean in expected.items()}
        mean = fmean(expected.values() or [0])
        return float(
            sum(
                expected.get(place, of_metric.get(self._cells[place].name, mean))
                for place in places
            )
        )


def duration(seconds: float) -> str:
    """Return an estimated time in words.

    Example:
        >>> duration(20), duration(130), duration(7000)
        ('20 s', '2 min', '1.9 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
