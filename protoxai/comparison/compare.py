"""Comparison of explainers: task by task, resumable, within a budget of time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from protoxai.attribution import AttributionMethod
from protoxai.comparison.explainers import list_of, list_of_names
from protoxai.comparison.measure import why_left_out
from protoxai.comparison.measurement import Cell, Measurement
from protoxai.comparison.model_names import model_names
from protoxai.comparison.report.headlines import HEADLINE_METRICS
from protoxai.comparison.report.maps import maps_figure
from protoxai.comparison.result import Result
from protoxai.comparison.stored import Row
from protoxai.comparison.table import Comparison
from protoxai.comparison.tasks import Task
from protoxai.metrics import metric_named, registered_metrics
from protoxai.runtime.checks import NOT_NEGATIVE, POSITIVE, function, instance, number, whole
from protoxai.runtime.console import print_line
from protoxai.runtime.distributed import gather_results, rank
from protoxai.runtime.files import picture_source, write_picture
from protoxai.runtime.finite import check_finite_weights, check_images

MAPS = 4
"""Number of tasks whose maps are drawn side by side."""
MOST_FAILURES = 3
"""Largest number of different errors that a result lists: some name the image, so all differ."""
ALL = "all"
"""The value of ``metrics`` that stands for all registered metrics."""


def compare(
    explainers: Sequence[AttributionMethod],
    tasks: Sequence[Task],
    *,
    metrics: Collection[str] | str | None = None,
    output: str | Path | None = None,
    budget: float | None = None,
    seed: int = 0,
    group_noun: str = "groups",
    log: Callable[[str], None] = print_line,
) -> Comparison:
    """Measure explainers by the same metrics on the same tasks.

    Every explainer explains its own model; the region is what that model predicts as the class. A
    figure is the mean over the tasks for which the explainer has it, with a 95 % interval over the
    tasks' groups, see :func:`~protoxai.metrics.estimate`; differences of explainers are paired, see
    :meth:`Comparison.difference`. If an explainer cannot be measured by a metric, the table
    reports why, and the rest continues; a metric that needs what the tasks lack, such as images
    without a part, is left out, with the reason. If ``torch.distributed`` is initialised, each
    process measures a share of the tasks, and all return the whole table.

    All explainers are measured on a task before the next one begins, so a comparison that ends
    early has the same tasks for all explainers. How long all will take is logged after a sample of
    the first task: all metrics of two explainers, and one metric of each other.

    Args:
        explainers: Explainers, such as those of :func:`~protoxai.comparison.explainers_of`. The
            first of a model is the one that the others are compared with.
        tasks: Tasks, from :func:`~protoxai.comparison.select_tasks`.
        metrics: Names of registered metrics; None for those of the headline figures, "all" for all.
        output: Folder for the table, ``comparison.{txt,csv,json,md,tex}``, its pictures
            (``comparison.png``, ``differences.png``, ``cost.png``, ``maps.png``) and finished
            results. A later call with the same folder reuses the results of the same explainer,
            parameters and task, unless the code of the metric, of the explainer or of what they
            use from this library has changed, or the stored result has been damaged.
        budget: Seconds after which no further task is begun.
        seed: Seed of the metrics.
        group_noun: What the groups are, in the plural, such as a data set's ``group_noun``.
        log: Function that receives a line for the time that all will take, for each task that this
            process has measured, and for each failure.

    Returns:
        The table.

    Raises:
        ValueError: If a metric is unknown, two explainers have one name, two tasks have one index,
            there is no explainer, task or metric, or a number is out of its range.
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
    names = HEADLINE_METRICS if metrics is None else metrics
    names = list_of_names("metrics", registered_metrics() if names == ALL else names)
    chosen = {name: metric_named(name) for name in names}
    _check(explainers, tasks, names)
    left_out = {name: why for name, kind in chosen.items() if (why := why_left_out(kind, tasks))}
    chosen = {name: kind for name, kind in chosen.items() if name not in left_out}
    notes = tuple(f"{name} is left out: {why}" for name, why in left_out.items())
    if not chosen:
        raise ValueError(f"no metric can be measured: {'; '.join(notes)}")
    folder = None if output is None else Path(output)
    if folder is not None:
        # Before anything is measured that could not be kept.
        (folder / "results").mkdir(parents=True, exist_ok=True)
    cells = [
        Cell(explainer, model, name, metric)
        for explainer, model in zip(explainers, model_names(explainers), strict=True)
        for name, metric in chosen.items()
    ]
    measurement = Measurement(cells, tasks, seed, budget, folder, log)
    measured: dict[int, dict[int, Row]] = {}
    for share in gather_results(measurement.run):
        measured.update(share)
    complete = sum(map(bool, measured.values()))
    if complete < len(tasks):
        spent = f"the budget of {budget:g} s was spent after {complete} of {len(tasks)} tasks"
        notes = (*notes, spent)
    comparison = Comparison(
        tuple(_result(cell, place, tasks, measured) for place, cell in enumerate(cells)),
        seed,
        tuple(task.name for task in tasks),
        group_noun,
        left_out=notes,
    )

    def save() -> None:
        if folder is not None and rank() == 0:
            comparison.save(folder)
            key = measurement.key_of_maps(tasks[:MAPS])
            if picture_source(folder / "maps.png") != key:
                write_picture(folder / "maps.png", maps_figure(explainers, tasks[:MAPS]), key)

    gather_results(save)
    return comparison


def _result(
    cell: Cell,
    place: int,
    tasks: Sequence[Task],
    measured: Mapping[int, Mapping[int, Row]],
) -> Result:
    """Collect the rows of a cell."""
    known = {task.index: rows[place] for task in tasks if (rows := measured[task.index])}
    valued = {index: row for index, row in known.items() if row.values}
    failures = list(dict.fromkeys(row.failure for row in known.values() if row.failure))
    if len(failures) > MOST_FAILURES:
        rest = len(failures) - MOST_FAILURES
        failures[MOST_FAILURES:] = [f"and {rest} more"]
    return Result(
        explainer=cell.explainer.name,
        metric=cell.name,
        figures=dict(cell.metric.figures),
        indices=tuple(valued),
        rows=tuple(row.values for row in valued.values()),
        seconds=sum(row.seconds for row in known.values()),
        failure="; ".join(failures),
        reasons=tuple(row.reason for row in valued.values()),
        shares=tuple(cell.metric.shares),
        model=cell.model,
        reference=cell.explainer.reference,
        complete=all(row.final for row in known.values()),
    )


def _check(
    explainers: Sequence[AttributionMethod], tasks: Sequence[Task], metrics: list[str]
) -> None:
    explainers = list_of("explainers", explainers, AttributionMethod)
    tasks = list_of("tasks", tasks, Task)
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
