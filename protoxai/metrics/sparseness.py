"""Sparseness: how few pixels an attribution puts its weight on."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from protoxai.metrics.checks import check_maps
from protoxai.metrics.concentration import gini
from protoxai.metrics.per_image import Index, PerImageMetric


class Sparseness(PerImageMetric):
    """Gini index of an attribution map's absolute values; higher is sparser, which is better.

    Chalasani et al., "Concise explanations of neural networks", ICML 2020. NaN where the map is 0.

    Example:
        >>> import torch
        >>> metric = Sparseness()
        >>> metric.update(torch.tensor([[[0.0, 0.0], [0.0, 1.0]]]))
        >>> float(metric.compute())
        0.75
    """

    figures: ClassVar[dict[str, bool | None]] = {"sparseness": True}
    higher_is_better = True

    def update(self, attribution: Tensor, index: Index = None) -> None:
        """Take in attribution maps (B, H, W)."""
        check_maps(attribution)
        self._keep(self._numbers(index, len(attribution)), gini(attribution.flatten(1)))
