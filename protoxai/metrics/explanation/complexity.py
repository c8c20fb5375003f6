"""Complexity: over how many pixels, or units, an attribution is spread."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from protoxai.metrics.base.checks import check_maps
from protoxai.metrics.base.concentration import complexity, effective_number
from protoxai.metrics.base.per_image import Index, PerImageMetric


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


class EffectiveNumber(PerImageMetric):
    """Exponential of the entropy of the absolute values that an image has; lower is simpler.

    As many equal values would be as spread out. NaN where all values are 0. See
    :func:`~protoxai.metrics.effective_number`.

    Example:
        >>> import torch
        >>> metric = EffectiveNumber()
        >>> metric.update(torch.tensor([[2.0, -2.0, 0.0]]))
        >>> round(float(metric.compute()), 3)
        2.0
    """

    figures: ClassVar[dict[str, bool | None]] = {"effective_number": False}
    higher_is_better = False

    def update(self, values: Tensor, index: Index = None) -> None:
        """Take in values (B, ...) of any sign."""
        self._keep(self._numbers(index, len(values)), effective_number(values.flatten(1)))
