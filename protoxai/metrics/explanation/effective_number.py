"""Effective number: the number of equal values that would be spread as much."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.checks import values_by_image
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.explanation.complexity import complexity
from protoxai.runtime.tensors import tensor


def effective_number(values: Tensor) -> Tensor:
    """Return the exponential of the entropy: the number of equal values with the same entropy.

    Args:
        values: Values (..., M) of any sign; their absolute values count.

    Returns:
        Values (...), in [1, M]; NaN where all values are 0.

    Example:
        >>> import torch
        >>> effective_number(torch.tensor([[2.0, 2.0, 0.0], [0.0, 5.0, 0.0]]))
        tensor([2.0000, 1.0000])
    """
    tensor("values", values, "... values", "real numbers")
    number = complexity(values.double()).exp()
    return number.to(torch.promote_types(values.dtype, torch.float32))


class EffectiveNumber(PerImageMetric):
    """Effective number of an image's values, see :func:`effective_number`.

    Lower is simpler, which describes and does not rank. NaN where all values are 0.

    Args:
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = EffectiveNumber()
        >>> metric.update(torch.tensor([[2.0, -2.0, 0.0]]))
        >>> round(float(metric.compute()), 3)
        2.0
    """

    figures: ClassVar[dict[str, bool | None]] = {"effective_number": None}
    higher_is_better = None

    def update(self, values: Tensor, index: Index = None) -> None:
        """Add the values (B, ...) of images, of any sign."""
        self.add_values(effective_number(values_by_image(values)), index)
