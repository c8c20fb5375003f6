"""Comparison of explainers: result by result, resumable, within a time budget."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from protoxai.attribution import AttributionMethod
from protoxai.comparison.explainers import list_of_names
from protoxai.comparison.measure import measure, why_left_out
from protoxai.comparison.memo import ExplainedTasks, ModelTasks, fingerprint
from protoxai.comparison.result import Result, read_result, write_result
from protoxai.comparison.table import Comparison
from protoxai.comparison.tasks import Task
from protoxai.metrics import PerImageMetric, metric_named, registered_metrics
from protoxai.runtime.checks import NOT_NEGATIVE, POSITIVE, function, instance, number, shown, whole
from protoxai.runtime.console import plain, print_line
from protoxai.runtime.distributed import gather, gather_results, rank, world_size
from protoxai.runtime.files import to_json
from protoxai.runtime.finite import check_finite_weights, check_images
from protoxai.runtime.slug import slug


def compare(
    explainers: Sequence[AttributionMethod],
    tasks: Sequence[Task],
    *,
    metrics: Collection[str] | None = None,
    output: str | Path | None = None,
    budget: float | None = None,
    seed: int = 0,
    group_noun: str = "groups",
    log: Callable[[str], None] = print_line,
) -> Comparison:
    """Measure explainers by the same metrics on the same tasks.

    Every explainer explains its own model; the region is what that model predicts as the class. A
    figure is the mean over the tasks for which it is defined for all explainers that have it, with
    a 95 % interval over the tasks' groups, see :func:`~protoxai.metrics.estimate`. If one explainer
    cannot be measured by one metric, the table reports why, and the rest continues; a metric that
    needs what the tasks lack, such as images without a part, is left out, with the reason. If
    ``torch.distributed`` is initialised, each process measures a share of the explainers and
    metrics, and all return the whole table.

    Args:
        explainers: Explainers, such as those of :func:`~protoxai.comparison.explainers_of`.
        tasks: Tasks, from :func:`~protoxai.comparison.select_tasks`.
        metrics: Names of registered metrics; None for all.
        output: Folder for ``comparison.{txt,csv,json,md,png}`` and for finished results. A later
            call with the same folder reuses the results of the same explainer, parameters and
            tasks, unless the code of the metric or of the explainer has changed or the stored
            result has been damaged.
        budget: Seconds for each explainer and metric, after which the remaining tasks are left
            out.
        seed: Seed of the metrics.
        group_noun: What the groups are, in the plural, such as a data set's ``group_noun``.
        log: Function that receives a line for each result that this process has measured.

    Returns:
        The table.

    Raises:
        ValueError: If a metric is unknown, two explainers have one name, two tasks have one index,
            there is no explainer, task or metric, no metric can be measured on the tasks, or a
            number is out of its range.
        TypeError: If the metrics are not a list of names.
        ProcessError: If another process has failed.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> from protoxai.attribution import PrototypeAttribution
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> image = torch.rand(1, 3, 32, 40)
        >>> task = Task(0, image, truth=image[:, 0] > 0.5, class_index=torch.tensor([1]))
        >>> table = compare([PrototypeAttribution(model)], [task], metrics=["sparseness"],
        ...                 log=lambda line: None)
        >>> list(table.figures)
        ['sparseness']
    """
    function("log", log)
    if output is not None:
        instance("output", output, (str, Path), "the folder to write to")
    seed = whole("seed", seed, NOT_NEGATIVE)
    instance("group_noun", group_noun, str)
    if budget is not None:
        budget = number("budget", budget, POSITIVE)
    names = list_of_names("metrics", registered_metrics() if metrics is None else metrics)
    chosen = {name: metric_named(name) for name in names}
    _check(explainers, tasks, names)
    left_out = {name: why for name, kind in chosen.items() if (why := why_left_out(kind, tasks))}
    chosen = {name: kind for name, kind in chosen.items() if name not in left_out}
    notes = tuple(f"{name} is left out: {why}" for name, why in left_out.items())
    if not chosen:
        raise ValueError(f"no metric can be measured: {'; '.join(notes)}")
    folder = None if output is None else Path(output) / "results"
    if folder is not None:
        # Before anything is measured that could not be kept.
        folder.mkdir(parents=True, exist_ok=True)
    cells = list(_cells(explainers, tasks, chosen, seed, folder))
    # The files are those of the first process, whatever the others see.
    known = gather([None if cell.file is None else read_result(cell.file) for cell in cells])[0]
    missing = [number for number, result in enumerate(known) if result is None]

    def measure_share() -> dict[int, Result]:
        first, end = (len(missing) * part // world_size() for part in (rank(), rank() + 1))
        return {
            number: _measured(cells[number], budget, seed, log) for number in missing[first:end]
        }

    results = dict(enumerate(known))
    for share in gather_results(measure_share):
        results.update(share)
    comparison = Comparison(
        tuple(results.values()), seed, tuple(task.name for task in tasks), group_noun, notes
    )

    def save() -> None:
        if output is not None and rank() == 0:
            comparison.save(output)

    gather_results(save)
    return comparison


@dataclass(frozen=True)
class _Cell:
    """One explainer and one metric.

    Attributes:
        explained: The explainer's explanations of all tasks.
        name: Name of the metric.
        metric: Class of the metric.
        file: File of the result; None if it is not kept.
    """

    explained: ExplainedTasks
    name: str
    metric: type[PerImageMetric]
    file: Path | None


def _cells(
    explainers: Sequence[AttributionMethod],
    tasks: Sequence[Task],
    metrics: Mapping[str, type[PerImageMetric]],
    seed: int,
    folder: Path | None,
) -> Iterator[_Cell]:
    """Yield all cells, those of one explainer together, which share its explanations."""
    tasks_key = "" if folder is None else fingerprint(t for task in tasks for t in _tensors(task))
    model_tasks = ModelTasks(tasks)
    for explainer in explainers:
        explained = ExplainedTasks(explainer, model_tasks)
        model_key = "" if folder is None else fingerprint(_state(explainer))
        for name, metric in metrics.items():
            code = [_code(metric), _code(type(explainer))]
            key = [explainer.name, repr(explainer), name, seed, tasks_key, model_key, *code]
            file = None if folder is None or None in code else folder / _file_name(key)
            yield _Cell(explained, name, metric, file)


def _measured(cell: _Cell, budget: float | None, seed: int, log: Callable[[str], None]) -> Result:
    """Measure a cell, and keep its result."""
    result = measure(cell.explained, cell.name, cell.metric, budget, seed)
    if cell.file is not None and result.complete:
        write_result(cell.file, result)
    log(f"{result.explainer}, {result.metric}: {result.summary()}")
    return result


def _code(kind: type) -> str | None:
    """Return the text of the module of a metric or explainer; None if it has no text."""
    for source in (sys.modules.get(kind.__module__), kind):
        try:
            return inspect.getsource(source)  # type: ignore[arg-type]
        except (OSError, TypeError):  # The class was written in a console.
            continue
    return None


def _tensors(task: Task) -> tuple[Tensor, ...]:
    background = -1 if task.background is None else task.background
    numbers = [task.index, task.image_index, task.ignore_index, background]
    labels = () if task.labels is None else (task.labels,)
    return torch.tensor(numbers), task.image, task.truth, task.class_index, *labels


def _state(explainer: AttributionMethod) -> list[Tensor]:
    return [*explainer.model.parameters(), *explainer.model.buffers()]


def _check(
    explainers: Sequence[AttributionMethod], tasks: Sequence[Task], metrics: list[str]
) -> None:
    for name, given, kind in (
        ("explainers", explainers, AttributionMethod),
        ("tasks", tasks, Task),
    ):
        if not isinstance(given, Sequence) or not all(isinstance(each, kind) for each in given):
            raise TypeError(f"{name} are {shown(given)}, expected a list of {kind.__name__}s")
    if not explainers or not tasks:
        raise ValueError(
            f"got {len(explainers)} explainers and {len(tasks)} tasks, expected at least one of "
            "each"
        )
    if not metrics:
        raise ValueError(f"got no metrics, expected some of {', '.join(registered_metrics())}")
    indices = [task.index for task in tasks]
    for index in indices:
        if indices.count(index) > 1:
            raise ValueError(
                f"got {indices.count(index)} tasks with the index {index}, expected one: values "
                "are kept by index, so number the tasks, and give the image as image_index"
            )
    for explainer in explainers:
        check_finite_weights(explainer.model, f"the model of {explainer.name}")
    for task in tasks:
        check_images(task.image, [task.image_index])
    names = [explainer.name for explainer in explainers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two explainers are called {name!r}: set `explainer.name` of one")


def _file_name(key: Sequence[object]) -> str:
    # In ASCII, which every file system takes.
    name = slug(plain(f"{key[0]} {key[2]}", "ascii")).lower()
    return f"{name}-{hashlib.sha256(to_json(key).encode()).hexdigest()[:12]}.json"
