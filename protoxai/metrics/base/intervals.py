"""Means over images with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from protoxai.metrics.base.checks import COUNT, SEED
from protoxai.runtime.checks import whole
from protoxai.runtime.tensors import tensor

RESAMPLES = 1000
INTERVAL = (0.025, 0.975)
LARGEST_BLOCK = 2**20
"""Largest number of counts drawn at once, so that memory does not grow with the data set."""

Statistic = Callable[[Tensor, Tensor], Tensor]
"""Function of rows (n, ...) and the counts (R, n) of each in R resamples, which returns (R,)."""


class Estimate(NamedTuple):
    """A figure over images with its 95 % bootstrap interval; ``float()`` returns the figure.

    Attributes:
        mean: The figure; NaN if it is not defined for any image.
        low: Lower end of the interval.
        high: Upper end of the interval.
        images: Number of images for which the figure is defined.
        undefined: Number of images left out because the figure is not defined for them.
    """

    mean: float
    low: float
    high: float
    images: int
    undefined: int = 0

    def __float__(self) -> float:
        return self.mean

    def __str__(self) -> str:
        text = f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"
        if self.undefined:
            text += f" ({self.undefined} of {self.images + self.undefined} images undefined)"
        return text


def mean_of_rows(rows: Tensor, counts: Tensor) -> Tensor:
    """Return the means (R,) of values (n,), each of which counts ``counts`` (R, n) times."""
    return counts @ rows / counts.sum(1)


def estimate(
    rows: Tensor,
    statistic: Statistic = mean_of_rows,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Estimate a figure and its percentile interval over images drawn with replacement.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.

    Args:
        rows: Values of each image, (n,) or (n, K). Images whose values are all NaN are left out,
            and counted as undefined.
        statistic: Function that computes the figure of each resample; the mean by default.
        resamples: Number of resamples.
        seed: Seed of the resampling.

    Example:
        >>> import torch
        >>> print(estimate(torch.tensor([0.5, 0.5, torch.nan])))
        0.5 [0.5, 0.5] (1 of 3 images undefined)
    """
    tensor("rows", rows, "...", "real numbers")
    if rows.dim() not in (1, 2):
        raise ValueError(f"rows have shape {tuple(rows.shape)}, expected (images,) or (images, K)")
    resamples, seed = whole("resamples", resamples, COUNT), whole("seed", seed, SEED)
    rows = rows.detach().double().cpu()
    undefined = rows.isnan() if rows.dim() == 1 else rows.isnan().all(1)
    rows = rows[~undefined]
    left_out = int(undefined.sum())
    if len(rows) == 0:
        return Estimate(torch.nan, torch.nan, torch.nan, 0, left_out)
    value = statistic(rows, rows.new_ones(1, len(rows)))
    blocks = _resampled_counts(len(rows), resamples, seed)
    samples = torch.cat([statistic(rows, counts) for counts in blocks])
    low, high = samples.nanquantile(samples.new_tensor(INTERVAL)).tolist()
    return Estimate(float(value), low, high, len(rows), left_out)


def _resampled_counts(images: int, resamples: int, seed: int) -> Iterator[Tensor]:
    """Yield how often each image is drawn, in blocks (r, images) of resamples."""
    generator = torch.Generator().manual_seed(seed)
    while resamples > 0:
        block = min(resamples, max(LARGEST_BLOCK // images, 1))
        drawn = torch.randint(images, (block, images), generator=generator)
        ones = torch.ones(block, images, dtype=torch.float64)
        yield torch.zeros_like(ones).scatter_add_(1, drawn, ones)
        resamples -= block
