"""Active units per decision: how many groups, prototypes or channels decide a region."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.concentration import effective_number
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.runtime.precision import widen

ROUNDING = 8
"""Units in the last place that a sum of evidence may miss the share by and still reach it."""


def active_units(evidence: Tensor, share: float = 0.9) -> Tensor:
    """Return the least number of units that make up a share of the positive evidence.

    Args:
        evidence: signed, already averaged over the region (..., units).
        share: of the sum of all positive evidence, in (0, 1].

    Returns:
        int64 (...); 0 where no evidence is positive.

    Raises:
        ValueError: if the share is out of its range.

    Example:
        >>> import torch
        >>> active_units(torch.tensor([[5.0, -9.0, 4.0, 1.0], [-1.0, 0.0, 0.0, 0.0]]))
        tensor([2, 0])
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, expected a number in (0, 1], such as 0.9")
    positive = _positive(evidence)
    wanted = positive.sum(-1, keepdim=True) * share
    reached = positive.sort(-1, descending=True).values.cumsum(-1)
    (wide,) = widen(evidence)
    short = reached < wanted * (1 - ROUNDING * torch.finfo(wide.dtype).eps)
    return (short.sum(-1) + 1) * (wanted[..., 0] > 0)


def _positive(evidence: Tensor) -> Tensor:
    # The evidence over an empty region is NaN: there is none.
    return evidence.detach().double().nan_to_num(nan=0.0).clamp_min(0)


class ActiveUnits(PerImageMetric):
    """Counts the units that decide a region; fewer are easier to read.

    Two figures: the least number of units with ``share`` of the positive evidence, and their
    effective number, the exponential of its entropy. NaN where no evidence is positive.

    Args:
        share: see :func:`active_units`.
        options: of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = ActiveUnits()
        >>> metric.update(torch.tensor([[5.0, -9.0, 4.0, 1.0]]))
        >>> float(metric.compute()["active_units"])
        2.0
    """

    figures: ClassVar[dict[str, bool | None]] = {"active_units": False, "effective_units": False}
    higher_is_better = False

    def __init__(self, share: float = 0.9, **options: Any) -> None:
        super().__init__(**options)
        self.share = share

    def update(self, evidence: Tensor, index: Index = None) -> None:
        """Take in evidence (B, units), averaged over each image's region."""
        if evidence.dim() != 2:
            raise ValueError(
                f"evidence has shape {tuple(evidence.shape)}, expected (batch, units), averaged "
                "over the region"
            )
        number = active_units(evidence, self.share).double()
        rows = torch.stack(
            [number.masked_fill(number == 0, torch.nan), effective_number(_positive(evidence))], 1
        )
        self._keep(self._numbers(index, len(evidence)), rows)
