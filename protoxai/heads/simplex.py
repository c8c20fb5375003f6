"""The probability simplex: non-negative weights that sum to 1."""

from __future__ import annotations

import torch
from torch import Tensor

from protoxai.runtime.precision import widen
from protoxai.runtime.tensors import tensor


def project_to_simplex(rows: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the nearest points of the probability simplex (Euclidean projection).

    By sorting: Duchi et al., "Efficient projections onto the l1-ball", ICML 2008, figure 1.

    Args:
        rows: Floating-point tensor (..., M).
        mask: Mask, bool, broadcastable to ``rows``, of the entries to project. The others are
            ignored and returned as 0; no row may be all False. None for all entries.

    Returns:
        Tensor (..., M), whose entries are at least 0 and whose rows sum to 1.

    Raises:
        TypeError: If the rows are not floating-point.
        ValueError: If a row has no entry.

    Example:
        >>> import torch
        >>> project_to_simplex(torch.tensor([[0.5, 0.9], [-1.0, 2.0]]))
        tensor([[0.3000, 0.7000],
                [0.0000, 1.0000]])
    """
    tensor("rows", rows, "... M", meta=True)
    if rows.shape[-1] == 0:
        raise ValueError(f"rows have shape {tuple(rows.shape)}, expected (..., M) with M >= 1")
    (wide,) = widen(rows)
    if mask is not None:
        tensor("mask", mask, "... M", "bool", meta=True)
        if any(m not in (1, n) for m, n in zip(mask.shape[::-1], rows.shape[::-1], strict=False)):
            raise ValueError(
                f"mask has shape {tuple(mask.shape)} and rows {tuple(rows.shape)}, expected a mask "
                "that can be broadcast to the rows"
            )
        readable = mask.device.type == "cpu" and not torch.compiler.is_compiling()
        if readable and not bool(mask.any(-1).all()):
            raise ValueError(
                f"mask of shape {tuple(mask.shape)} has a row that is all False, expected a True "
                "entry in every row: leave such rows out"
            )
        wide = wide.masked_fill(~mask, -torch.inf)
    # Adding a constant to a row does not change its projection. With the largest entry at 0, sums
    # stay small, and therefore exact.
    wide = wide - wide.amax(-1, keepdim=True)
    descending = wide.sort(-1, descending=True).values
    rank = torch.arange(1, rows.shape[-1] + 1, device=rows.device)
    excess = (descending.cumsum(-1) - 1) / rank
    # A masked entry is -inf, and so is its sum. Because -inf > -inf is False, it never counts.
    support = (descending > excess).sum(-1, keepdim=True)
    # A row with a NaN has an empty support; the result is NaN.
    last = (support - 1).clamp_min(0)
    return (wide - excess.gather(-1, last)).clamp_min(0).to(rows.dtype)


def outside_simplex(rows: Tensor, mask: Tensor, tolerance: float) -> Tensor:
    """Return which rows have a negative entry or a sum above 1.

    Args:
        rows: Floating-point tensor (..., M).
        mask: Bool, broadcastable to ``rows``: False entries take no part.
        tolerance: What a sum may exceed 1 by.

    Returns:
        Bool (..., 1); False for rows with a NaN and no negative entry.
    """
    (wide,) = widen(rows)
    wide = wide.masked_fill(~mask, 0)
    negative = (wide < 0).any(-1, keepdim=True)
    return negative | (wide.sum(-1, keepdim=True) > 1 + tolerance)
