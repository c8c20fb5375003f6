"""The interval of a figure that is neither a mean nor a ratio of sums, by resampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

LEVEL = 0.95
LARGEST_BLOCK = 2**20
"""Largest number of counts drawn at once, so that memory does not grow with the data set."""

Statistic = Callable[[Tensor, Tensor], Tensor]
"""Function of rows (n, ...) and the counts (R, n) of each in R resamples, which returns (R,)."""


def bootstrap_interval(
    rows: Tensor, statistic: Statistic, groups: Tensor, resamples: int, seed: int
) -> tuple[float, float]:
    """Return the bias-corrected 95 % interval of a figure, over groups drawn with replacement.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 14.3, with an
    acceleration of 0: the ends are the resampled figures at the shares Φ(2z ± 1.96), where Φ(z) is
    the share of resampled figures below the figure itself, ties counted by half.

    Args:
        rows: Values (n, ...), float64.
        statistic: Function that computes the figure of each resample.
        groups: Number of each row's group, from 0, int64 (n,).
        resamples: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        The lower and the upper end; NaN if the figure is NaN in every resample.
    """
    from scipy.special import ndtr, ndtri

    value = statistic(rows, rows.new_ones(1, len(rows)))
    blocks = _resampled_counts(int(groups.max()) + 1, len(rows), resamples, seed)
    samples = torch.cat([statistic(rows, counts[:, groups]) for counts in blocks])
    samples = samples[~samples.isnan()]
    if len(samples) == 0:
        return torch.nan, torch.nan
    below = ((samples < value).double() + (samples == value).double() / 2).mean()
    # Where all resamples lie on one side, the shift would be infinite.
    shift = 2 * ndtri(float(below.clamp(0.5 / len(samples), 1 - 0.5 / len(samples))))
    ends = [float(ndtr(shift + ndtri(level))) for level in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
    low, high = samples.quantile(samples.new_tensor(ends)).tolist()
    return low, high


def _resampled_counts(groups: int, rows: int, resamples: int, seed: int) -> Iterator[Tensor]:
    """Yield how often each group is drawn, in blocks (r, groups) of resamples."""
    generator = torch.Generator().manual_seed(seed)
    while resamples > 0:
        block = min(resamples, max(LARGEST_BLOCK // rows, 1))
        drawn = torch.randint(groups, (block, groups), generator=generator)
        ones = torch.ones(block, groups, dtype=torch.float64)
        yield torch.zeros_like(ones).scatter_add_(1, drawn, ones)
        resamples -= block
