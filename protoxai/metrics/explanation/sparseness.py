"""Sparseness: how few pixels an attribution puts its weight on."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from protoxai.metrics.base.checks import check_maps
from protoxai.metrics.base.concentration import gini
from protoxai.metrics.base.per_image import Index, PerImageMetric


class Gini(PerImageMetric):
    """Gini index of the absolute values that an image has, of its units' evidence, say.

    Higher is sparser, which is better. NaN where all values are 0. See
    :func:`~protoxai.metrics.gini`.

    Example:
        >>> import torch
        >>> metric = Gini()
        >>> metric.update(torch.tensor([[3.0, 0.0, -1.0]]))
        >>> float(metric.compute())
        0.5
    """

    figures: ClassVar[dict[str, bool | None]] = {"gini": True}
    higher_is_better = True

    def update(self, values: Tensor, index: Index = None) -> None:
        """Take in values (B, ...) of any sign."""
        self._keep(self._numbers(index, len(values)), gini(values.flatten(1)))


class Sparseness(Gini):
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

    def update(self, values: Tensor, index: Index = None) -> None:
        """Take in attribution maps (B, H, W)."""
        check_maps(values)
        super().update(values, index)
