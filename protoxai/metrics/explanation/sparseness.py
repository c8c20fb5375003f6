"""Sparseness: concentration of an attribution on few pixels."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from protoxai.metrics.base.checks import check_maps
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.metrics.explanation.gini import gini


def sparseness(attribution: Tensor) -> Tensor:
    """Return the Gini index of the absolute values of attribution maps.

    Chalasani et al., "Concise explanations of neural networks", ICML 2020.

    Args:
        attribution: Attribution maps (B, H, W).

    Returns:
        Values (B,), in [0, 1 - 1/(H W)]; NaN where a map is 0.

    Example:
        >>> import torch
        >>> sparseness(torch.tensor([[[0.0, 0.0], [0.0, 1.0]]]))
        tensor([0.7500])
    """
    check_maps(attribution)
    return gini(attribution.flatten(1))


@register_metric("sparseness")
class Sparseness(PerImageMetric):
    """Gini index of an attribution map's absolute values, see :func:`sparseness`.

    Higher is sparser, which is neither better nor worse. NaN where the map is 0.

    Args:
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = Sparseness()
        >>> metric.update(torch.tensor([[[0.0, 0.0], [0.0, 1.0]]]))
        >>> float(metric.compute())
        0.75
    """

    figures: ClassVar[dict[str, bool | None]] = {"sparseness": None}
    higher_is_better = None

    def update(self, attribution: Tensor, index: Index = None) -> None:
        """Add attribution maps (B, H, W)."""
        self.add_values(sparseness(attribution), index)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add the map of an explained task."""
        self.update(explained.map, index=explained.index)
