"""Off-class L1: evidence against a class should be sparse."""

from __future__ import annotations

from torch import Tensor, nn

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.kinds import check_head
from protoxai.heads.linear import PrototypeHead
from protoxai.runtime.precision import widen


def off_class_l1_loss(head: PrototypeHead | SparseGroupHead) -> Tensor:
    """Return the sum of absolute last-layer weights of prototypes (or groups) for other classes.

    A weight of a tied last layer counts for each of the C - 1 other classes, so that equal tied and
    dense layers have equal losses. Source: Chen et al., ProtoPNet, NeurIPS 2019 (arXiv 1806.10574),
    section 2.2.

    Args:
        head: Head of either stage.

    Returns:
        Scalar of at least 0.

    Example:
        >>> from protoxai import PrototypeTable
        >>> off_class_l1_loss(PrototypeHead(PrototypeTable.regular(2, 1, 3))).item()
        3.0
    """
    (weight,) = widen(check_head(head).weight)
    if head.last_layer == "tied":
        return weight[1].abs().sum() * (head.num_classes - 1)
    return weight.abs().masked_fill(head.own_class(), 0).sum()


class OffClassL1Loss(nn.Module):
    """:func:`off_class_l1_loss` as a module."""

    def forward(self, head: PrototypeHead | SparseGroupHead) -> Tensor:
        """Return the loss of the head's last layer."""
        return off_class_l1_loss(head)
