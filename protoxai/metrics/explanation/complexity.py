"""Complexity: spread of an attribution over pixels or units."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.checks import check_maps
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.metrics.base.shares import shares


def complexity(values: Tensor) -> Tensor:
    """Return the entropy (natural) over the last dimension of the values' shares in their sum.

    Bhatt et al., "Evaluating and aggregating feature-based model explanations", IJCAI 2020,
    section 4.

    Args:
        values: Values (..., M) of any sign; their absolute values count.

    Returns:
        Values (...), in [0, log M]; NaN where all values are 0.

    Example:
        >>> import torch
        >>> complexity(torch.tensor([[1.0, 1.0], [0.0, -3.0]]))
        tensor([0.6931, 0.0000])
    """
    parts = shares(values)
    # Adding 0 turns the -0.0 of a single share of 1 into 0.0.
    entropy = -torch.xlogy(parts, parts).sum(-1) + 0.0
    return entropy.to(torch.promote_types(values.dtype, torch.float32))


@register_metric("complexity")
class Complexity(PerImageMetric):
    """Entropy (natural) of an attribution map's absolute values, see :func:`complexity`.

    Lower is simpler, which is neither better nor worse. NaN where the map is 0.

    Args:
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = Complexity()
        >>> metric.update(torch.ones(1, 2, 2))
        >>> round(float(metric.compute()), 3)
        1.386
    """

    figures: ClassVar[dict[str, bool | None]] = {"complexity": None}
    higher_is_better = None

    def update(self, attribution: Tensor, index: Index = None) -> None:
        """Add attribution maps (B, H, W)."""
        check_maps(attribution)
        self.add_values(complexity(attribution.flatten(1)), index)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add the map of an explained task."""
        self.update(explained.map, index=explained.index)
