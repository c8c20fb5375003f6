"""Active prototypes: those that a decision can rest on."""

from __future__ import annotations

import torch
from torch import Tensor

from protoxai.heads import PrototypeHead, SparseGroupHead

SMALLEST_OWN_WEIGHT = 1e-3


def active_prototypes(head: PrototypeHead | SparseGroupHead, threshold: float = 0.05) -> Tensor:
    """Return the numbers of the prototypes that are in use.

    Stage 2: those with a weight of at least ``threshold`` in some group (smaller weights count as
    zero, as after ``head.threshold_``). Stage 1: those whose own-class weight exceeds 1e-3.

    Args:
        head: the model's head; left as it is.
        threshold: the smallest group weight that counts; 0 counts every weight above zero.

    Returns:
        Prototype numbers, ascending, int64.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable, SparseGroupHead
        >>> head = SparseGroupHead(PrototypeTable.regular(1, 1, 3), num_groups=1)
        >>> head.set_group_weights(torch.tensor([[0.96, 0.04, 0.0]]))
        >>> active_prototypes(head)
        tensor([0])
    """
    if isinstance(head, SparseGroupHead):
        weights = head.group_weights().detach()
        used = ((weights > 0) & (weights >= threshold)).any(0)
    else:
        own_class = head.table.to(head.weight.device).class_index
        own_weight = head.weight.detach().gather(0, own_class[None])[0]
        used = own_weight > SMALLEST_OWN_WEIGHT
    return torch.nonzero(used).flatten()
