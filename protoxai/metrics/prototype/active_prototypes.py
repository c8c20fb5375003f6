"""Active prototypes: those with a weight in the decisions."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.kinds import check_head
from protoxai.heads.linear import PrototypeHead
from protoxai.metrics.base.checks import THRESHOLD
from protoxai.metrics.base.per_model import ModelMetric
from protoxai.runtime.checks import number

SMALLEST_OWN_WEIGHT = 1e-3
SMALLEST_GROUP_WEIGHT = 0.05


class ActiveCounts(NamedTuple):
    """Numbers of prototypes in use; ``float()`` returns the total.

    Attributes:
        total: Number in the model, int64 scalar.
        per_class: Number in each class, int64 (C,).
        per_group: Number in each group, int64 (N,); (0,) in stage 1, which has no groups.
    """

    total: Tensor
    per_class: Tensor
    per_group: Tensor

    def __float__(self) -> float:
        return float(self.total)


def active_prototypes(
    head: PrototypeHead | SparseGroupHead, threshold: float = SMALLEST_GROUP_WEIGHT
) -> Tensor:
    """Return the indices of the prototypes that are in use.

    Stage 2: those with a weight of at least ``threshold`` in some group (smaller weights count as
    zero, as after ``head.threshold_``). Stage 1: those whose own-class weight exceeds 1e-3.

    Args:
        head: Head of the model, which is not changed.
        threshold: Smallest group weight that counts; 0 counts every weight above zero.

    Returns:
        Prototype indices, ascending, int64.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable, SparseGroupHead
        >>> head = SparseGroupHead(PrototypeTable.regular(1, 1, 3), num_groups=1)
        >>> head.set_group_weights(torch.tensor([[0.96, 0.04, 0.0]]))
        >>> active_prototypes(head)
        tensor([0])
    """
    threshold = number("threshold", threshold, THRESHOLD)
    check_head(head)
    if isinstance(head, SparseGroupHead):
        used = group_members(head, threshold).any(0)
    else:
        used = head.own_class_weights().detach() > SMALLEST_OWN_WEIGHT
    return torch.nonzero(used).flatten()


def group_members(head: SparseGroupHead, threshold: float) -> Tensor:
    """Return the prototypes that are active in each group, bool (N, P)."""
    weights = head.group_weights().detach()
    return (weights > 0) & (weights >= threshold)


class ActivePrototypes(ModelMetric):
    """Number of prototypes in use, in total, per class and per group; fewer are easier to read.

    See :func:`active_prototypes`.

    Args:
        threshold: Smallest group weight that counts.
        **options: Options of ``torchmetrics.Metric``.

    Example:
        >>> from protoxai import PrototypeTable, PrototypeHead
        >>> metric = ActivePrototypes()
        >>> metric.update(PrototypeHead(PrototypeTable.regular(2, 1, 3)))
        >>> metric.compute().per_class
        tensor([3, 3])
    """

    figures: ClassVar[dict[str, bool | None]] = {"total": None}
    higher_is_better = None

    def __init__(self, threshold: float = 0.05, **options: Any) -> None:
        super().__init__(**options)
        self.threshold = number("threshold", threshold, THRESHOLD)

    def update(self, head: PrototypeHead | SparseGroupHead) -> None:
        """Count a head's prototypes."""
        active = active_prototypes(head, self.threshold)
        classes = head.table.to(active.device).class_index[active]
        per_group = torch.zeros(0, dtype=torch.long, device=active.device)
        if isinstance(head, SparseGroupHead):
            per_group = group_members(head, self.threshold).sum(1)
        self._measured = ActiveCounts(
            torch.tensor(len(active), device=active.device),
            torch.bincount(classes, minlength=head.table.num_classes),
            per_group,
        )
