"""Relevance mass: share of an attribution that lies on the class that it explains."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from protoxai.metrics.base.checks import check_masked
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.metrics.base.shares import excess_share
from protoxai.runtime.precision import widen


def relevance_mass(attribution: Tensor, mask: Tensor) -> Tensor:
    """Return the share of positive attribution in the mask, minus the mask's share of the image.

    Arras, Osman and Samek, "CLEVR-XAI", Information Fusion 2022, section 3.2, corrected for the
    area: a constant map has 0, whatever the size of the mask, and so has noise on average.

    Args:
        attribution: Attribution maps, signed, (B, H, W).
        mask: Ground truth of the class, or of one of its parts, bool (B, H, W).

    Returns:
        Values (B,), in (-1, 1): 0 is chance, and 1 less the area's share is the best. NaN for an
        empty mask and for a map without a positive value.

    Example:
        >>> import torch
        >>> attribution = torch.tensor([[[1.0, 3.0], [-3.0, 0.0]]])
        >>> relevance_mass(attribution, torch.tensor([[[False, True], [True, False]]]))
        tensor([0.2500])
    """
    check_masked(attribution, mask)
    (wide,) = widen(attribution.detach())
    inside = mask.flatten(1)
    excess = excess_share(wide.clamp_min(0).flatten(1), inside)
    return excess.masked_fill(~inside.any(1), float("nan")).to(wide.dtype)


@register_metric("relevance_mass")
class RelevanceMass(PerImageMetric):
    """Share of positive attribution in the ground-truth mask, minus the mask's share of the image.

    Higher is better; 0 is chance. See :func:`relevance_mass`.

    Args:
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = RelevanceMass()
        >>> metric.update(torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[False, True]]]))
        >>> float(metric.compute())
        0.25
    """

    figures: ClassVar[dict[str, bool | None]] = {"relevance_mass": True}
    higher_is_better = True

    def update(self, attribution: Tensor, mask: Tensor, index: Index = None) -> None:
        """Add attribution maps and masks, (B, H, W) each."""
        self.add_values(relevance_mass(attribution, mask), index)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add the map of an explained task, against the labels."""
        self.update(explained.map, explained.truth, index=explained.index)
