"""The measurement of one explainer by one metric."""

from __future__ import annotations

import inspect
import math
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from protoxai.comparison.memo import ExplainedTasks
from protoxai.comparison.result import Result
from protoxai.comparison.tasks import Task
from protoxai.metrics import PerImageMetric, UndefinedError
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.runtime.modes import evaluating


def measure(
    explained: ExplainedTasks,
    name: str,
    kind: type[PerImageMetric],
    budget: float | None,
    seed: int,
) -> Result:
    """Measure one explainer by one metric; an error ends this result, not the comparison.

    Args:
        explained: The explainer's explanations of all tasks.
        name: Name of the metric.
        kind: Class of the metric.
        budget: Seconds after which the remaining tasks are left out; None for no limit.
        seed: Seed of the metric.
    """
    started = time.monotonic()
    explainer = explained.explainer
    failure, done, undefined = "", 0, False
    metric = None
    try:
        metric = kind.for_model(explainer.model, seed=seed)
        # Other processes measure something else meanwhile.
        metric.distributed_available_fn = lambda: False
        with evaluating(explainer.model):
            for position in range(len(explained)):
                if budget is not None and time.monotonic() - started > budget:
                    failure = f"the budget of {budget:g} s was spent after {done} tasks"
                    break
                _add(metric, explained[position])
                done += 1
    except UndefinedError as error:
        failure, undefined = str(error), True
    except Exception as error:
        failure = _describe(error, kind, type(explainer))
    values = {} if metric is None else _values(metric)
    infinite = [index for index, row in values.items() if any(map(math.isinf, row))]
    if infinite and not failure:
        failure = f"infinite for task {infinite[0]}: give NaN where a figure is not defined"
    values = {index: row for index, row in values.items() if index not in infinite}
    tasks = (explained[position] for position in range(done))
    reasons = {
        task.index: metric.why_undefined(task)
        for task in tasks
        if metric is not None and any(map(math.isnan, values.get(task.index, ())))
    }
    return Result(
        explainer=explainer.name,
        metric=name,
        figures=dict(kind.figures),
        indices=tuple(values),
        rows=tuple(values.values()),
        seconds=time.monotonic() - started,
        failure=failure,
        complete=undefined or (done == len(explained) and not infinite),
        reasons=tuple(reasons.get(index, "") for index in values),
        shares=tuple(kind.shares),
    )


def why_left_out(kind: type[PerImageMetric], tasks: Sequence[Task]) -> str:
    """Return why a metric is left out of a comparison of tasks; nothing if it is not.

    Args:
        kind: Class of the metric.
        tasks: Tasks of the comparison.
    """
    missing = (
        reason
        for name, reason in kind.needs.items()
        if all(getattr(task, name) is None for task in tasks)
    )
    return next(missing, "")


def _add(metric: PerImageMetric, task: ExplainedTask) -> None:
    """Add a task to a metric, and check that it counts as this task."""
    before = len(metric.indices)
    metric.update_from(task)
    indices = [index for added in metric.indices[before:] for index in added.tolist()]
    if indices != [task.index]:
        # No row can be trusted to belong to its task.
        metric.reset()
        raise ValueError(
            f"{type(metric).__name__}.update_from gave values of the tasks {indices}, expected "
            f"those of task {task.index}: pass index=explained.index to update, and index to "
            "add_values"
        )


def _values(metric: PerImageMetric) -> dict[int, tuple[float, ...]]:
    """Return the values of all figures by task."""
    indices, rows = metric.per_image()
    return dict(zip(indices.tolist(), map(tuple, rows.tolist()), strict=True))


def _describe(error: Exception, *owners: type) -> str:
    """Return the first line of an error, and the line of the metric or explainer it comes from."""
    frames = list(traceback.walk_tb(error.__traceback__))
    files = {_file(owner) for owner in owners}
    own = [frame for frame in frames if frame[0].f_code.co_filename in files] or frames
    frame, line = own[-1]
    text = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    return f"{text} ({Path(frame.f_code.co_filename).name}, line {line})"


def _file(kind: type) -> str | None:
    try:
        return inspect.getsourcefile(kind)
    except (OSError, TypeError):  # The class was written in a console.
        return None
