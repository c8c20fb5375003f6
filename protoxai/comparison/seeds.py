"""Means over trainings of the same models with several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from protoxai.comparison.explainers import list_of
from protoxai.comparison.result import Result
from protoxai.comparison.table import Comparison
from protoxai.metrics.base.paired import mean_over_seeds as mean_values


def mean_over_seeds(comparisons: Sequence[Comparison]) -> Comparison:
    """Return one comparison of models that were trained with several seeds.

    Each task's value is the mean over the seeds for which it is defined, and the intervals are over
    the tasks' groups: trainings have their tasks in common, so they are no independent ones.

    Args:
        comparisons: A comparison for each seed, of the same explainers, metrics and tasks.

    Raises:
        TypeError: If they are not a list of comparisons.
        ValueError: If there is none, or their tasks, explainers or metrics differ.

    Example:
        >>> from protoxai.comparison import Comparison, Result
        >>> seeds = [
        ...     Comparison((Result("red", "m", {"m": True}, (4,), ((value,),), 0.1, ""),))
        ...     for value in (0.5, 0.75)
        ... ]
        >>> mean_over_seeds(seeds)["red", "m"].mean
        0.625
    """
    comparisons = list_of("comparisons", comparisons, Comparison)
    first = comparisons[0]
    for other in comparisons[1:]:
        if other.tasks != first.tasks or _measured(other) != _measured(first):
            raise ValueError(
                "the comparisons have different tasks, explainers or metrics: compare the models "
                "of each seed with the same options"
            )
    results = zip(*(each.results for each in comparisons), strict=True)
    return replace(
        first,
        results=tuple(_mean(own) for own in results),
        left_out=tuple(dict.fromkeys(line for each in comparisons for line in each.left_out)),
        model_seeds=sum(each.model_seeds for each in comparisons),
    )


def _measured(comparison: Comparison) -> list[tuple[str, str]]:
    return [(result.explainer, result.metric) for result in comparison.results]


def _mean(results: Sequence[Result]) -> Result:
    """Return the mean of one explainer's results by one metric, one for each seed."""
    first = results[0]
    indices = list(dict.fromkeys(index for result in results for index in result.indices))
    by_seed = [dict(zip(each.indices, each.rows, strict=True)) for each in results]
    missing = (float("nan"),) * len(first.figures)
    rows = {}
    for index in indices:
        values = torch.tensor([rows_of.get(index, missing) for rows_of in by_seed])
        rows[index] = tuple(mean_values(values.double()).tolist())
    reasons: dict[int, str] = {}
    for each in results:
        for index, reason in zip(each.indices, each.reasons, strict=True):
            reasons[index] = reasons.get(index) or reason
    return replace(
        first,
        indices=tuple(indices),
        rows=tuple(rows.values()),
        reasons=tuple(reasons[index] for index in indices),
        seconds=sum(each.seconds for each in results),
        complete=all(each.complete for each in results),
        failure="; ".join(dict.fromkeys(each.failure for each in results if each.failure)),
    )
