"""The measurement of tasks, all explainers on one before the next, kept file by file."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from protoxai.attribution import AttributionMethod
from protoxai.comparison.code_digest import code_digest
from protoxai.comparison.measure import measure
from protoxai.comparison.memo import Explanations, fingerprint
from protoxai.comparison.pace import Pace, duration
from protoxai.comparison.stored import Row, read_rows, write_rows
from protoxai.comparison.tasks import Task
from protoxai.metrics import PerImageMetric
from protoxai.runtime.distributed import rank, world_size
from protoxai.runtime.files import to_json
from protoxai.runtime.stopping import stop_if_requested


@dataclass(frozen=True)
class Cell:
    """One explainer and one metric.

    Attributes:
        explainer: The explainer.
        model: Name of its model.
        name: Name of the metric.
        metric: Class of the metric.
    """

    explainer: AttributionMethod
    model: str
    name: str
    metric: type[PerImageMetric]

    def key(self, seed: int, model_key: str) -> str | None:
        """Return the digest of all that the values depend on; None if it is unknown."""
        code = [code_digest(self.metric), code_digest(type(self.explainer))]
        if None in code:
            return None
        key = [self.explainer.name, repr(self.explainer), self.name, seed, model_key, *code]
        return hashlib.sha256(to_json(key).encode()).hexdigest()


class Measurement:
    """The measurement of a process's share of the tasks.

    Args:
        cells: Explainers and metrics, those of one explainer together.
        tasks: All tasks.
        seed: Seed of the metrics.
        budget: Seconds after which no further task is begun; None for no limit.
        folder: Folder of the output; None if nothing is kept.
        log: Function that receives a line for the estimated time, each task and each failure.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        tasks: Sequence[Task],
        seed: int,
        budget: float | None,
        folder: Path | None,
        log: Callable[[str], None],
    ) -> None:
        self.cells = cells
        self.tasks = tasks
        self.seed = seed
        self.budget = budget
        self.folder = folder
        self.log = log
        self._pace = Pace(cells)
        self._failures: set[str] = set()
        self._states: dict[AttributionMethod, str] = {}
        self._keys: list[str | None] = [None] * len(cells)
        if folder is not None:
            explainers = dict.fromkeys(cell.explainer for cell in cells)
            models = dict.fromkeys(explainer.model for explainer in explainers)
            states = {model: fingerprint(_state(model)) for model in models}
            self._states = {explainer: states[explainer.model] for explainer in explainers}
            self._keys = [cell.key(seed, self._states[cell.explainer]) for cell in cells]

    def key_of_maps(self, tasks: Sequence[Task]) -> str:
        """Return the digest of all that a picture of the explainers' maps depends on.

        Args:
            tasks: Tasks that it shows.
        """
        explainers = [
            [explainer.name, repr(explainer), code_digest(type(explainer)), state]
            for explainer, state in self._states.items()
        ]
        shown = [fingerprint(_tensors(task)) for task in tasks]
        return hashlib.sha256(to_json([explainers, shown]).encode()).hexdigest()

    def run(self) -> dict[int, dict[int, Row]]:
        """Return a row for each cell, by its place, of each task, by its index."""
        started = time.monotonic()
        measured = {}
        own = range(rank(), len(self.tasks), world_size())
        stored = {place: self._known(self.tasks[place]) for place in own}
        for rows, _ in stored.values():
            self._add_to_pace(rows)
        missing = {place: cells for place in own if (cells := self._missing(stored[place][0]))}
        left = [cell for cells in missing.values() for cell in cells]
        for place, (rows, file) in stored.items():
            spent = time.monotonic() - started
            if place in missing and self.budget is not None and spent > self.budget:
                # A task that is known in part is left out too: all explainers have the same tasks.
                rows = {}
            elif place in missing:
                before = time.monotonic()
                explanations = Explanations(self.tasks[place])
                try:
                    if place == next(iter(missing)):
                        self._measure_sample(explanations, rows)
                        self.log(self._estimate(left, len(missing)))
                    self._measure(explanations, self._missing(rows), rows)
                finally:
                    # Also what was measured until a stop.
                    self._keep(self.tasks[place], file, rows)
                del left[: len(missing[place])]
                seconds = time.monotonic() - before
                more = f", about {duration(self._pace.of(left))} left" * bool(left)
                self.log(f"task {place + 1} of {len(self.tasks)}: {seconds:.1f} s{more}")
            measured[self.tasks[place].index] = rows
        return measured

    def _missing(self, rows: Mapping[int, Row]) -> list[int]:
        """Return the places of the cells that have no row."""
        return [place for place in range(len(self.cells)) if place not in rows]

    def _known(self, task: Task) -> tuple[dict[int, Row], Path | None]:
        """Return the stored rows of a task, and the file of its rows."""
        if self.folder is None:
            return {}, None
        digest = fingerprint(_tensors(task))[:12]
        file = self.folder / "results" / f"task-{task.index}-{digest}.json"
        stored = read_rows(file)
        keys = self._keys_of(task)
        return {number: stored[key] for number, key in enumerate(keys) if key in stored}, file

    def _keys_of(self, task: Task) -> list[str | None]:
        """Return the key of each cell's row of a task; where a metric needs labels, with them."""
        labels = ""
        if task.labels is not None:
            background = -1 if task.background is None else task.background
            numbers = torch.tensor([task.ignore_index, background])
            labels = fingerprint([task.labels, numbers])
        return [
            f"{key}-{labels}" if key and "labels" in cell.metric.needs else key
            for cell, key in zip(self.cells, self._keys, strict=True)
        ]

    def _measure_sample(self, explanations: Explanations, rows: dict[int, Row]) -> None:
        """Measure two explainers and a cell of each other, from which the time is estimated.

        An explainer's time is known only when it has explained. A metric takes about as long for
        one explainer as for another, but the first pays for the model's answers that all share:
        so it takes the others as long as the second, and they have the metric that is fastest.
        """
        places: dict[AttributionMethod, list[int]] = {}
        for place in self._missing(rows):
            places.setdefault(self.cells[place].explainer, []).append(place)
        first, *others = places.values()
        self._measure(explanations, first, rows)
        # A failure may be fast because nothing was explained.
        measured = [place for place in first if rows[place].values] or first[:1]
        fastest = self.cells[min(measured, key=lambda place: rows[place].seconds)].name
        for cells in others:
            cells.sort(key=lambda place: self.cells[place].name != fastest)
        self._measure(explanations, [place for cells in others for place in cells[:1]], rows)
        self._measure(explanations, [place for cells in others[:1] for place in cells[1:]], rows)

    def _measure(
        self, explanations: Explanations, places: Sequence[int], rows: dict[int, Row]
    ) -> None:
        """Measure a task by the cells of some places, and add their rows."""
        for place in places:
            cell = self.cells[place]
            explain = partial(explanations.of, cell.explainer)
            rows[place] = measure(cell.explainer, explain, cell.metric, self.seed)
            self._add_to_pace({place: rows[place]})
            # A stop within an explainer may end as a failure of that explainer.
            stop_if_requested()
            failure = f"{cell.explainer.name}, {cell.name}: {rows[place].failure}"
            if not rows[place].final and failure not in self._failures:
                self._failures.add(failure)
                self.log(failure)

    def _add_to_pace(self, rows: Mapping[int, Row]) -> None:
        """Add the time of rows with values, by which others are estimated."""
        for place, row in rows.items():
            if row.values:
                self._pace.add(place, row.seconds)

    def _keep(self, task: Task, file: Path | None, rows: Mapping[int, Row]) -> None:
        keys = self._keys_of(task)
        keyed = {key: row for place, row in rows.items() if (key := keys[place])}
        if file is not None and keyed:
            write_rows(file, read_rows(file) | keyed)

    def _estimate(self, places: Sequence[int], tasks: int) -> str:
        """Return how long a measurement takes.

        Args:
            places: The cells to measure, one for each task that it is measured on.
            tasks: Number of tasks that they are measured on.
        """
        number = len({self.cells[place].explainer for place in places})
        what = f"{number} explainer{'s' * (number > 1)} on {tasks} task{'s' * (tasks > 1)}"
        seconds = self._pace.of(places)
        more = "; the budget ends it earlier" if seconds > (self.budget or math.inf) else ""
        more += "; what is measured is kept" * (self.folder is not None)
        own = " in this process" * (world_size() > 1)
        return f"about {duration(seconds)} for {what}{own}, by a sample of one{more}"


def _tensors(task: Task) -> tuple[Tensor, ...]:
    return torch.tensor([task.index, task.image_index]), task.image, task.truth, task.class_index


def _state(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
