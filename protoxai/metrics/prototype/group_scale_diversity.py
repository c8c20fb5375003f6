"""Scale diversity of groups: spread of a group's weight over the scales."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.kinds import check_grouped
from protoxai.heads.linear import PrototypeHead
from protoxai.metrics.base.per_model import ModelMetric
from protoxai.metrics.explanation.complexity import complexity
from protoxai.metrics.explanation.effective_number import effective_number


class GroupScales(NamedTuple):
    """Spread of the groups' weight over scales; ``float()`` returns the model's entropy.

    Values are NaN for a group without weight, and the entropy is NaN for a class whose prototypes
    have a single scale.

    Attributes:
        mass: Share of each group's weight on each scale (N, S).
        group_entropy: Entropy of each group's mass (N,), divided by the logarithm of the number of
            scales where its class has prototypes: in [0, 1].
        group_effective_number: Effective number of scales of each group (N,), in [1, S].
        class_entropy: Mean entropy of each class's groups (C,).
        class_effective_number: Mean effective number of each class's groups (C,).
        entropy: Mean entropy of all groups, scalar.
        effective_number: Mean effective number of all groups, scalar.
        spanning: Share of groups with weight on two scales or more, scalar.
    """

    mass: Tensor
    group_entropy: Tensor
    group_effective_number: Tensor
    class_entropy: Tensor
    class_effective_number: Tensor
    entropy: Tensor
    effective_number: Tensor
    spanning: Tensor

    def __float__(self) -> float:
        return float(self.entropy)


def group_scale_diversity(head: PrototypeHead | SparseGroupHead) -> GroupScales:
    """Return how each group spreads its weight over the scales.

    Args:
        head: Head of stage 2. Apply ``head.threshold_`` before, so that weights too small to matter
            do not count.

    Raises:
        ValueError: If the head has no groups.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable, SparseGroupHead
        >>> head = SparseGroupHead(PrototypeTable.regular(1, 2, 2), num_groups=2)
        >>> head.set_group_weights(torch.tensor([[0.5, 0.0, 0.5, 0.0], [0.5, 0.5, 0.0, 0.0]]))
        >>> scales = group_scale_diversity(head)
        >>> scales.group_entropy, scales.spanning
        (tensor([1., 0.]), tensor(0.5000))
    """
    head = check_grouped(head)
    table = head.table.to(head.weight.device)
    weights = head.group_weights().detach()
    mass = weights.new_zeros(len(weights), table.num_scales)
    mass.index_add_(1, table.scale_index, weights)
    groups = head.group_class.to(mass.device)
    entropy = complexity(mass) / (table.counts > 0).sum(1)[groups].to(mass).log()
    number = effective_number(mass)
    weighted = mass.sum(1) > 0
    spans = (mass > 0).sum(1) >= 2
    per_class = [groups == c for c in range(table.num_classes)]
    return GroupScales(
        mass / mass.sum(1, keepdim=True),
        entropy,
        number,
        torch.stack([entropy[own].nanmean() for own in per_class]),
        torch.stack([number[own].nanmean() for own in per_class]),
        entropy.nanmean(),
        number.nanmean(),
        spans[weighted].to(mass).mean(),
    )


class GroupScaleDiversity(ModelMetric):
    """Spread of the groups' weight over scales, see :func:`group_scale_diversity`.

    It counts the scales that are combined, and has no direction.

    Args:
        **options: Options of ``torchmetrics.Metric``.

    Example:
        >>> from protoxai import PrototypeTable, SparseGroupHead
        >>> metric = GroupScaleDiversity()
        >>> metric.update(SparseGroupHead(PrototypeTable.regular(3, 1, 4)))
        >>> metric.values()["spanning"]
        0.0
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "entropy": None,
        "effective_number": None,
        "spanning": None,
    }
    higher_is_better = None

    def update(self, head: PrototypeHead | SparseGroupHead) -> None:
        """Measure a head's groups."""
        self._measured = group_scale_diversity(head)
