"""Paired differences of two explainers or models on the same tasks."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from protoxai.metrics.base.checks import SEED
from protoxai.metrics.base.groups import Groups, numbered_groups, sums_by_group
from protoxai.metrics.base.intervals import LEAST_GROUPS, mean_interval
from protoxai.metrics.base.significance import resolvable_difference, sign_flip_test
from protoxai.runtime.checks import flag, whole
from protoxai.runtime.tensors import tensor


class Difference(NamedTuple):
    """Mean difference of two sets of values of the same tasks; ``float()`` returns it.

    Attributes:
        mean: Mean over tasks of the first value minus the second; NaN without a pair.
        low: Lower end of the 95 % interval over groups; NaN below 5 groups.
        high: Upper end of the interval; NaN below 5 groups.
        p: P value of the sign-flip test over groups, two-sided and not corrected; NaN without a
            pair.
        wins: Number of tasks on which the first value is better.
        ties: Number of tasks on which both are equal.
        losses: Number of tasks on which the second value is better.
        tasks: Number of pairs.
        groups: Number of groups that these tasks belong to.
        undefined: Number of tasks for which at least one of the values is not defined.
        resolvable: Smallest true difference that a test at 5 % finds in about 80 % of cases, with
            as many groups of such a spread; NaN below 6 groups, which have no p below 5 %.
    """

    mean: float
    low: float
    high: float
    p: float
    wins: int
    ties: int
    losses: int
    tasks: int
    groups: int
    undefined: int
    resolvable: float

    def __float__(self) -> float:
        return self.mean


def paired_difference(
    first: Tensor,
    second: Tensor,
    *,
    groups: Groups = None,
    higher_is_better: bool = True,
    seed: int = 0,
) -> Difference:
    """Compare two sets of values, task by task.

    The interval is Student's over the groups' mean differences, see
    :func:`~protoxai.metrics.base.intervals.estimate`; the p value is that of
    :func:`~protoxai.metrics.base.significance.sign_flip_test`.

    Args:
        first: Values (n,); NaN where undefined.
        second: Values (n,) of the same tasks.
        groups: Group of each task; None if each task is its own.
        higher_is_better: Whether the larger value of a task wins.
        seed: Seed of the test.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If there are not as many values, or groups, as tasks.

    Example:
        >>> import torch
        >>> first = torch.tensor([0.9, 0.8, 0.7, 0.9, 0.6])
        >>> result = paired_difference(first, torch.tensor([0.5, 0.5, 0.5, 0.4, 0.6]))
        >>> round(result.mean, 3), round(result.low, 3), round(result.high, 3), result.p
        (0.28, 0.041, 0.519, 0.125)
        >>> result.wins, result.ties, result.losses
        (4, 1, 0)
    """
    tensor("first", first, "tasks", "real numbers")
    sizes = {"tasks": len(first)}
    tensor("second", second, "tasks", "real numbers", hint="as many as first", sizes=sizes)
    flag("higher_is_better", higher_is_better)
    seed = whole("seed", seed, SEED)
    differences = first.detach().double().cpu() - second.detach().double().cpu()
    defined = ~differences.isnan()
    numbers = numbered_groups(groups, len(differences))[defined].unique(return_inverse=True)[1]
    undefined = int((~defined).sum())
    differences = differences[defined]
    count = int(numbers.max()) + 1 if len(numbers) else 0
    mean, low, high, resolvable = (math.nan,) * 4
    if count:
        mean = float(differences.mean())
    if count >= LEAST_GROUPS and (interval := mean_interval(differences, numbers)):
        low, high = interval
        resolvable = resolvable_difference((high - low) / 2, count)
    better = differences if higher_is_better else -differences
    return Difference(
        mean=mean,
        low=low,
        high=high,
        p=sign_flip_test(sums_by_group(differences, numbers), seed),
        wins=int((better > 0).sum()),
        ties=int((better == 0).sum()),
        losses=int((better < 0).sum()),
        tasks=len(differences),
        groups=count,
        undefined=undefined,
        resolvable=resolvable,
    )


def mean_over_seeds(values: Tensor) -> Tensor:
    """Return the mean over the seeds of a model of each task's values, (n,).

    The interval of a figure is then over the tasks' groups, because the seeds of a model have their
    tasks in common.

    Args:
        values: Values (seeds, n) of the same tasks; those that are NaN are left out.

    Returns:
        The means, float64; NaN for a task without a value.

    Example:
        >>> import torch
        >>> mean_over_seeds(torch.tensor([[1.0, 2.0], [3.0, torch.nan]]))
        tensor([2., 2.], dtype=torch.float64)
    """
    tensor("values", values, "seeds tasks", "real numbers")
    return values.double().nanmean(0)
