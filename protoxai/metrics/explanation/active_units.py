"""Active units: number of groups, prototypes or channels that decide a region."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.explained_task import ExplainedTask, UndefinedError
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.metrics.explanation.effective_number import effective_number
from protoxai.runtime.checks import Range, number
from protoxai.runtime.precision import widen
from protoxai.runtime.tensors import tensor

SHARES = Range(above=0, most=1)
ROUNDING = 8
"""Tolerance, in units in the last place, with which a sum of evidence reaches the share."""


def active_units(evidence: Tensor, share: float = 0.9) -> Tensor:
    """Return the least number of units that make up a share of the positive evidence.

    Args:
        evidence: Signed evidence, already averaged over the region, (..., units).
        share: Share of the sum of all positive evidence, in (0, 1].

    Returns:
        Counts (...), as floating-point numbers: 0 where no evidence is positive, NaN where evidence
        is NaN or infinite, as over an empty region.

    Raises:
        TypeError: If the evidence is no tensor of real numbers.
        ValueError: If the share is out of its range.

    Example:
        >>> import torch
        >>> active_units(torch.tensor([[5.0, -9.0, 4.0, 1.0], [-1.0, 0.0, 0.0, 0.0]]))
        tensor([2., 0.])
    """
    share = number("share", share, SHARES)
    tensor("evidence", evidence, "... units", "real numbers")
    positive = evidence.detach().double().clamp_min(0)
    goal = positive.sum(-1, keepdim=True) * share
    reached = positive.sort(-1, descending=True).values.cumsum(-1)
    (wide,) = widen(evidence)
    short = reached < goal * (1 - ROUNDING * torch.finfo(wide.dtype).eps)
    counts = (short.sum(-1) + 1) * (goal[..., 0] > 0)
    return counts.to(wide.dtype).masked_fill(~evidence.isfinite().all(-1), torch.nan)


@register_metric("active_units")
class ActiveUnits(PerImageMetric):
    """Number of units that decide a region, see :func:`active_units`.

    It has two figures: the least number of units with ``share`` of the positive evidence, and
    their effective number, the exponential of its entropy. Fewer are easier to read, whether they
    are right or not, so neither has a direction. NaN where no evidence is positive, and
    over an empty region, where evidence is NaN.

    Args:
        share: Share of the sum of all positive evidence, in (0, 1].
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = ActiveUnits()
        >>> metric.update(torch.tensor([[5.0, -9.0, 4.0, 1.0]]))
        >>> float(metric.compute()["active_units"])
        2.0
    """

    figures: ClassVar[dict[str, bool | None]] = {"active_units": None, "effective_units": None}
    higher_is_better = None

    def __init__(self, share: float = 0.9, **options: Any) -> None:
        super().__init__(**options)
        self.share = number("share", share, SHARES)

    def update(self, evidence: Tensor, index: Index = None) -> None:
        """Add the evidence (B, units), averaged over each image's region."""
        hint = "average it over the region"
        tensor("evidence", evidence, "batch units", "real numbers", hint=hint)
        units = active_units(evidence, self.share).double()
        effective = effective_number(evidence.double().clamp_min(0))
        self.add_values(
            torch.stack([units.masked_fill(units == 0, torch.nan), effective], 1), index
        )

    def update_from(self, explained: ExplainedTask) -> None:
        """Add the units' evidence in an explained task."""
        if explained.units is None:
            raise UndefinedError("no units")
        self.update(explained.units, index=explained.index)

    def why_undefined(self, explained: ExplainedTask) -> str:
        """Return why the numbers of units are not defined."""
        if not bool(explained.region.any()):
            return super().why_undefined(explained)
        return "no evidence is positive"
