"""The measurement of one task by one metric."""

from __future__ import annotations

import inspect
import math
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from protoxai.attribution import AttributionMethod
from protoxai.comparison.stored import Row
from protoxai.comparison.tasks import Task
from protoxai.metrics import PerImageMetric, UndefinedError
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.runtime.modes import evaluating


def measure(
    explainer: AttributionMethod,
    explain: Callable[[], ExplainedTask],
    kind: type[PerImageMetric],
    seed: int,
) -> Row:
    """Measure one explanation by one metric; an error is the row's failure.

    Args:
        explainer: Explainer.
        explain: Function that returns the explained task, once or as often as it is called.
        kind: Class of the metric.
        seed: Seed of the metric.
    """
    started = time.monotonic()
    values: tuple[float, ...] = ()
    reason, failure, final = "", "", True
    try:
        metric = kind.for_model(explainer.model, seed=seed)
        # Other processes measure something else meanwhile.
        metric.distributed_available_fn = lambda: False
        with evaluating(explainer.model):
            explained = explain()
            metric.update_from(explained)
            values = _values(metric, explained)
            if any(map(math.isnan, values)):
                reason = metric.why_undefined(explained)
    except UndefinedError as error:
        failure = str(error)
    except Exception as error:
        failure, final = _describe(error, kind, type(explainer)), False
    return Row(values, reason, failure, time.monotonic() - started, final)


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


def _values(metric: PerImageMetric, explained: ExplainedTask) -> tuple[float, ...]:
    """Return the values of all figures, and check that they count as those of the task."""
    given = [index for added in metric.indices for index in added.tolist()]
    if given != [explained.index]:
        # No row can be trusted to belong to the task.
        raise ValueError(
            f"{type(metric).__name__}.update_from gave values of the tasks {given}, expected "
            f"those of task {explained.index}: pass index=explained.index to update, and index to "
            "add_values"
        )
    values = tuple(metric.per_image()[1][0].tolist())
    if any(map(math.isinf, values)):
        raise ValueError(
            f"infinite for task {explained.index}: give NaN where a figure is not defined"
        )
    return values


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
