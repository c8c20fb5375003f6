"""Prototype redundancy: share of pairs of prototypes that are nearly equal."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.metrics.base.per_model import ModelMetric
from protoxai.prototypes.layer import MultiScalePrototypeLayer
from protoxai.runtime.checks import NOT_NEGATIVE, instance, number


class Redundancy(NamedTuple):
    """Distances of prototypes of one class and scale; ``float()`` returns the share.

    Attributes:
        share: Share of pairs closer than the tolerance, scalar; NaN if there is no pair.
        distances: Euclidean distance of every pair.
    """

    share: Tensor
    distances: Tensor

    def __float__(self) -> float:
        return float(self.share)


def prototype_redundancy(layer: MultiScalePrototypeLayer, tolerance: float = 0.1) -> Redundancy:
    """Return the share of pairs, within class and scale, that are closer than a tolerance.

    Args:
        layer: Prototype layer of a model.
        tolerance: Euclidean distance (not squared) in the embedding, whose entries lie in (0, 1).

    Example:
        >>> import torch
        >>> from protoxai import MultiScalePrototypeLayer, PrototypeTable
        >>> layer = MultiScalePrototypeLayer(PrototypeTable.regular(1, 1, 3), dim=1)
        >>> layer.prototypes.data = torch.tensor([[0.0], [0.05], [0.5]])
        >>> prototype_redundancy(layer).share
        tensor(0.3333)
    """
    instance("layer", layer, MultiScalePrototypeLayer, "pass model.prototype_layer")
    tolerance = number("tolerance", tolerance, NOT_NEGATIVE)
    prototypes = layer.prototypes.detach()
    members = layer.table.to(prototypes.device).members("class_and_scale")
    own = prototypes[members.indices]
    # Matrix products would lose small distances to rounding.
    distances = torch.cdist(own, own, compute_mode="donot_use_mm_for_euclid_dist")
    both = members.mask[:, :, None] & members.mask[:, None, :]
    pairs = distances[both.triu(1)]
    return Redundancy((pairs < tolerance).to(pairs).mean(), pairs)


class PrototypeRedundancy(ModelMetric):
    """Share of pairs of prototypes that are nearly equal.

    See :func:`prototype_redundancy`.

    Args:
        tolerance: Euclidean distance (not squared) in the embedding.
        **options: Options of ``torchmetrics.Metric``.

    Example:
        >>> from protoxai import MultiScalePrototypeLayer, PrototypeTable
        >>> metric = PrototypeRedundancy()
        >>> metric.update(MultiScalePrototypeLayer(PrototypeTable.regular(2, 2, 3), dim=64))
        >>> float(metric.compute())
        0.0
    """

    figures: ClassVar[dict[str, bool | None]] = {"share": None}
    higher_is_better = None

    def __init__(self, tolerance: float = 0.1, **options: Any) -> None:
        super().__init__(**options)
        self.tolerance = number("tolerance", tolerance, NOT_NEGATIVE)

    def update(self, layer: MultiScalePrototypeLayer) -> None:
        """Measure a layer's prototypes."""
        self._measured = prototype_redundancy(layer, self.tolerance)
