"""Tests of differences: sign flips, Holm's correction and the difference that they can resolve."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from protoxai.metrics.base.checks import SEED
from protoxai.runtime.checks import SHARE, number, whole
from protoxai.runtime.tensors import tensor

DRAWS = 10_000
LARGEST_BLOCK = 2**20
"""Largest number of signs drawn at once."""
LEVEL, POWER = 0.05, 0.8


def sign_flip_test(sums: Tensor, seed: int = 0) -> float:
    """Return the p value of the hypothesis that differences are as often positive as negative.

    It is the share of signs of the groups under which the sum is at least as far from 0 as with the
    signs that the groups have. Up to 13 groups all signs are enumerated; beyond, 10,000 are drawn,
    and the given ones count as one of them (Fisher, "The Design of Experiments", 1935; Phipson and
    Smyth, Statistical Applications in Genetics and Molecular Biology, 2010).

    Args:
        sums: Sum of the differences of each group, (g,).
        seed: Seed of the draws.

    Returns:
        The two-sided p value, in (0, 1]; NaN without groups.

    Example:
        >>> import torch
        >>> sign_flip_test(torch.tensor([1.0, 2.0, 3.0, 1.0]))  # 2 of 16
        0.125
    """
    tensor("sums", sums, "groups", "real numbers")
    seed = whole("seed", seed, SEED)
    sums = sums.detach().double().cpu()
    groups = len(sums)
    if groups == 0:
        return math.nan
    # Sums that are equal but for rounding are as far from 0.
    least = sums.sum().abs() * (1 - 1e-9)
    if 2**groups <= DRAWS:
        bits = torch.arange(2**groups)[:, None] >> torch.arange(groups)
        return float((_flipped(sums, bits & 1) >= least).double().mean())
    generator = torch.Generator().manual_seed(seed)
    as_far, left = 0, DRAWS
    while left > 0:
        block = min(left, max(LARGEST_BLOCK // groups, 1))
        bits = torch.randint(2, (block, groups), generator=generator)
        as_far += int((_flipped(sums, bits) >= least).sum())
        left -= block
    return (1 + as_far) / (1 + DRAWS)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number, so that a family errs in 5 % of cases.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics, 1979.

    Args:
        p_values: P values, in [0, 1]; those that are NaN stay so, and do not count.

    Returns:
        The corrected p values, in the order given.

    Example:
        >>> holm([0.01, 0.04, 0.02])
        [0.03, 0.04, 0.04]
    """
    defined = sorted(
        (number("p_values", p, SHARE), place) for place, p in enumerate(p_values) if p == p
    )
    corrected = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(defined):
        largest = max(largest, min((len(defined) - rank) * p, 1.0))
        corrected[place] = largest
    return corrected


def least_p(groups: int, number: int = 1) -> float:
    """Return the smallest p value that a sign-flip test can have, corrected for several tests.

    Args:
        groups: Number of groups, at least 1.
        number: Number of tests that Holm's method corrects for.

    Example:
        >>> least_p(5), least_p(8, number=9)
        (0.0625, 0.0703125)
    """
    return min(number * max(2.0 ** (1 - groups), 1 / (1 + DRAWS)), 1.0)


def resolvable_difference(half_width: float, groups: int, number: int = 1) -> float:
    """Return the smallest true difference that a test at 5 % finds in about 80 % of cases.

    It is the standard error times the sum of two quantiles of Student's distribution, t₀.₈ and that
    of the level, ``t₀.₉₇₅`` for a single test (Bloom, "Minimum detectable effects", Evaluation
    Review, 1995).

    Args:
        half_width: Half of the width of the difference's 95 % interval, at least 0.
        groups: Number of groups, at least 2.
        number: Number of tests that 5 % are divided among, as by the first step of Holm's method.

    Returns:
        The difference; NaN if there are too few groups for any p value below 5 %.

    Example:
        >>> round(resolvable_difference(0.1, 20), 3)
        0.141
    """
    from scipy.special import stdtrit

    if least_p(groups, number) >= LEVEL:
        return math.nan
    levels = (1 - LEVEL / 2, 1 - LEVEL / 2 / number, POWER)
    single, corrected, power = (float(stdtrit(groups - 1, level)) for level in levels)
    return half_width * (corrected + power) / single


def _flipped(sums: Tensor, bits: Tensor) -> Tensor:
    """Return how far from 0 the sums (R,) are with signs from bits (R, g)."""
    return ((2.0 * bits.double() - 1) @ sums).abs()
