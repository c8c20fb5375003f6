"""Scale diversity of groups: over how many scales a group spreads its weight."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead
from protoxai.metrics.base.checks import check_grouped
from protoxai.metrics.base.concentration import complexity, effective_number
from protoxai.metrics.base.per_model import ModelMetric


class GroupScales(NamedTuple):
    """How groups spread their weight over scales; ``float()`` gives the model's entropy.

    NaN where it is not defined: for a group without weight, and the entropy of a class whose
    prototypes have a single scale.

    Attributes:
        mass: share of each group's weight on each scale (N, S).
        group_entropy: entropy of a group's mass (N,), divided by the logarithm of the number of
            scales where its class has prototypes: in [0, 1].
        group_effective_number: effective number of scales of a group (N,), in [1, S].
        class_entropy: mean over a class's groups (C,).
        class_effective_number: likewise (C,).
        entropy: mean over all groups, scalar.
        effective_number: likewise.
        spanning: share of groups with weight on two scales or more, scalar.
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
    """Measure over how many scales each group spreads its weight.

    Args:
        head: of stage 2, as it is: apply ``head.threshold_`` before, so that weights too small to
            matter do not count.

    Raises:
        ValueError: in stage 1.

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
    """Measures over how many scales groups spread, see :func:`group_scale_diversity`.

    Higher is better: what the multi-scale model is for.

    Example:
        >>> from protoxai import PrototypeTable, SparseGroupHead
        >>> metric = GroupScaleDiversity()
        >>> metric.update(SparseGroupHead(PrototypeTable.regular(3, 1, 4)))
        >>> metric.values()["spanning"]
        0.0
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "entropy": True,
        "effective_number": True,
        "spanning": True,
    }
    higher_is_better = True

    def update(self, head: PrototypeHead | SparseGroupHead) -> None:
        """Measure a head's groups."""
        self._measured = group_scale_diversity(head)
