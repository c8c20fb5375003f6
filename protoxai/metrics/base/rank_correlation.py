"""Spearman's rank correlation."""

from __future__ import annotations

import torch
from torch import Tensor

from protoxai.runtime.tensors import tensor


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """Return Spearman's rank correlation of two lists; equal values share their mean rank.

    Args:
        first: First list (n,).
        second: Second list (n,).

    Returns:
        Scalar in [-1, 1], float64; NaN where a list is constant or holds a NaN.

    Example:
        >>> import torch
        >>> spearman(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([9.0, 99.0, 999.0]))
        tensor(1., dtype=torch.float64)
    """
    tensor("first", first, "values", "real numbers")
    hint = "as many as first"
    tensor("second", second, "values", "real numbers", hint=hint, sizes={"values": len(first)})
    one, other = _ranks(first), _ranks(second)
    one, other = one - one.mean(), other - other.mean()
    spread = (one.square().sum() * other.square().sum()).sqrt()
    correlation = ((one * other).sum() / spread).clamp(-1, 1)
    return correlation.masked_fill(first.isnan().any() | second.isnan().any(), torch.nan)


def _ranks(values: Tensor) -> Tensor:
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    mean_rank = counts.cumsum(0) - (counts - 1) / 2
    ranks: Tensor = mean_rank.double()[place]
    return ranks
