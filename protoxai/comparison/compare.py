"""Comparison of explainers: result by result, resumable, within a time budget."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor

from protoxai.attribution import AttributionMethod
from protoxai.comparison.memo import ExplainedTasks, ModelTasks, fingerprint
from protoxai.comparison.table import Comparison, Result
from protoxai.comparison.tasks import Task
from protoxai.metrics import PerImageMetric, UndefinedError, metric_named, registered_metrics
from protoxai.runtime.finite import check_finite_weights, check_images
from protoxai.runtime.modes import evaluating


def compare(
    explainers: Sequence[AttributionMethod],
    tasks: Sequence[Task],
    *,
    metrics: Collection[str] | None = None,
    output: str | Path | None = None,
    budget: float | None = None,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> Comparison:
    """Measure explainers by the same metrics on the same tasks.

    Every explainer explains its own model; the region is what that model predicts as the class. A
    figure is the mean over the images for which it is defined for all explainers that have it. If
    one explainer cannot be measured by one metric, the table reports why, and the rest continues.

    Args:
        explainers: Explainers, such as those of :func:`~protoxai.comparison.explainers_of`.
        tasks: Tasks, from :func:`~protoxai.comparison.select_tasks`.
        metrics: Names of registered metrics; None for all.
        output: Folder for ``comparison.{txt,csv,json,md,png}`` and for finished results. A later
            call with the same folder reuses the results of the same explainer, parameters and
            tasks, unless the file of the metric has changed.
        budget: Seconds for each explainer and metric, after which the remaining images are left
            out.
        seed: Seed of the metrics.
        log: Function that receives a line for each result.

    Returns:
        The table.

    Raises:
        ValueError: If a metric is unknown, two explainers have one name, two tasks have one image,
            or there is no explainer, task or metric.

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
    names = list(registered_metrics() if metrics is None else metrics)
    chosen = {name: metric_named(name) for name in names}
    _check(explainers, tasks, names)
    folder = None if output is None else Path(output) / "results"
    tasks_key = "" if folder is None else fingerprint(t for task in tasks for t in _tensors(task))
    model_tasks = ModelTasks(tasks)
    results = []
    for explainer in explainers:
        explained = ExplainedTasks(explainer, model_tasks)
        model_key = "" if folder is None else fingerprint(_state(explainer))
        for name, metric in chosen.items():
            key = [explainer.name, repr(explainer), name, seed, tasks_key, model_key, _code(metric)]
            file = None if folder is None else folder / _file_name(key)
            result = _stored(file)
            if result is None:
                result = _measure(explained, name, metric, budget, seed)
                if file is not None and result.complete:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(json.dumps(result.to_config()) + "\n", encoding="utf-8")
                log(f"{explainer.name}, {name}: {result.summary()}")
            results.append(result)
    comparison = Comparison(tuple(results), seed)
    if output is not None:
        comparison.save(output)
    return comparison


def _measure(
    explained: ExplainedTasks,
    name: str,
    kind: type[PerImageMetric],
    budget: float | None,
    seed: int,
) -> Result:
    """Measure one explainer by one metric; an error ends this result, not the comparison."""
    started = time.monotonic()
    explainer = explained.explainer
    failure, done, undefined = "", 0, False
    metric = None
    try:
        metric = kind.for_model(explainer.model, seed=seed)
        with evaluating(explainer.model):
            for position in range(len(explained)):
                if budget is not None and time.monotonic() - started > budget:
                    failure = f"the budget of {budget:g} s was spent after {done} images"
                    break
                metric.update_from(explained[position])
                done += 1
    except UndefinedError as error:
        failure, undefined = str(error), True
    except Exception as error:
        failure = f"{type(error).__name__}: {error}".splitlines()[0]
    indices, rows = (torch.empty(0), torch.empty(0, 1)) if metric is None else metric.per_image()
    return Result(
        explainer=explainer.name,
        metric=name,
        figures=dict(kind.figures),
        indices=tuple(indices.tolist()),
        rows=tuple(map(tuple, rows.tolist())),
        seconds=time.monotonic() - started,
        failure=failure,
        complete=undefined or done == len(explained),
    )


def _code(metric: type[PerImageMetric]) -> str:
    """Return the text of a metric's module, or nothing where it has no file."""
    try:
        return inspect.getsource(sys.modules[metric.__module__])
    except (OSError, TypeError, KeyError):
        return ""


def _stored(file: Path | None) -> Result | None:
    if file is None or not file.is_file():
        return None
    try:
        return Result.from_config(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError):
        # The file is incomplete, or another version wrote it.
        return None


def _tensors(task: Task) -> tuple[Tensor, ...]:
    return torch.tensor(task.index), task.image, task.truth, task.class_index


def _state(explainer: AttributionMethod) -> list[Tensor]:
    return [*explainer.model.parameters(), *explainer.model.buffers()]


def _check(
    explainers: Sequence[AttributionMethod], tasks: Sequence[Task], metrics: list[str]
) -> None:
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
                f"got {indices.count(index)} tasks for image {index}, expected one: values are "
                "kept by image, so explain another class in another comparison"
            )
    for explainer in explainers:
        check_finite_weights(explainer.model, f"the model of {explainer.name}")
    for task in tasks:
        check_images(task.image, [task.index])
    names = [explainer.name for explainer in explainers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two explainers are called {name!r}: set `explainer.name` of one")


def _file_name(key: Sequence[object]) -> str:
    name = "".join(c if c.isalnum() else "-" for c in f"{key[0]}-{key[2]}".lower())
    return f"{name}-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]}.json"
