"""Gini index: inequality of values."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.checks import values_by_image
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.shares import shares


def gini(values: Tensor) -> Tensor:
    """Return the Gini index over the last dimension: 0 if all values are equal.

    It is 1 - 1/M if only one value differs from 0.

    ``1 - 2 sum_k x_(k) / |x|_1 (M - k + 1/2) / M`` with the absolute values ascending, k from 1
    (Hurley and Rickard, "Comparing measures of sparsity", IEEE Trans. Inf. Theory 2009).

    Args:
        values: Values (..., M) of any sign; their absolute values count.

    Returns:
        Values (...), in [0, 1 - 1/M]; NaN where all values are 0.

    Example:
        >>> import torch
        >>> gini(torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, -3.0]]))
        tensor([0.0000, 0.7500])
    """
    ascending = shares(values).sort(-1).values
    number = ascending.shape[-1]
    steps = torch.arange(number, 0, -1, dtype=ascending.dtype, device=ascending.device) - 0.5
    index = 1 - 2 * (ascending * steps).sum(-1) / number
    return index.to(torch.promote_types(values.dtype, torch.float32))


class Gini(PerImageMetric):
    """Gini index of an image's values, such as its units' evidence, see :func:`gini`.

    Higher is sparser, which describes and does not rank. NaN where all values are 0.

    Args:
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = Gini()
        >>> metric.update(torch.tensor([[3.0, 0.0, -1.0]]))
        >>> float(metric.compute())
        0.5
    """

    figures: ClassVar[dict[str, bool | None]] = {"gini": None}
    higher_is_better = None

    def update(self, values: Tensor, index: Index = None) -> None:
        """Add the values (B, ...) of images, of any sign."""
        self.add_values(gini(values_by_image(values)), index)
