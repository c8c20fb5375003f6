"""Complexity: over how many pixels an attribution is spread."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from protoxai.metrics.checks import check_maps
from protoxai.metrics.concentration import complexity
from protoxai.metrics.per_image import Index, PerImageMetric


class Complexity(PerImageMetric):
    """Entropy (natural) of an attribution map's absolute values; lower is simpler, so better.

    Bhatt et al., IJCAI 2020, section 4. NaN where the map is 0.

    Example:
        >>> import torch
        >>> metric = Complexity()
        >>> metric.update(torch.ones(1, 2, 2))
        >>> round(float(metric.compute()), 3)
        1.386
    """

    figures: ClassVar[dict[str, bool | None]] = {"complexity": False}
    higher_is_better = False

    def update(self, attribution: Tensor, index: Index = None) -> None:
        """Take in attribution maps (B, H, W)."""
        check_maps(attribution)
        self._keep(self._numbers(index, len(attribution)), complexity(attribution.flatten(1)))
