"""Group cross-entropy: the groups of a class should combine different prototypes."""

from __future__ import annotations

from torch import Tensor, nn

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.kinds import check_grouped
from protoxai.runtime.precision import full_precision_einsum, widen, without_autocast

SMALLEST_WEIGHT = 1e-5


def group_cross_entropy_loss(head: SparseGroupHead) -> Tensor:
    """Return minus the mean cross-entropy over ordered pairs of groups of the same class.

    The cross-entropy of groups i and j is ``-sum_k w_ik log max(w_jk, 1e-5)``. Source: Porta et
    al., WACV 2025 (arXiv 2409.09497).

    Args:
        head: The grouping head.

    Returns:
        Scalar in approximately [log(1e-5), 0]; 0 if classes have a single group.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> head = SparseGroupHead(PrototypeTable.regular(1, 1, 2), num_groups=2)
        >>> head.set_group_weights(torch.eye(2))
        >>> round(group_cross_entropy_loss(head).item(), 4)
        -11.5129
    """
    head = check_grouped(head)
    with without_autocast(head.group_parameter):
        (weights,) = widen(head.padded_weights())
        if head.num_groups < 2:
            return weights.sum() * 0
        logarithms = weights.clamp_min(SMALLEST_WEIGHT).log()
        products = full_precision_einsum(weights, logarithms, "k g m, k o m -> k g o")
        same = products.diagonal(dim1=1, dim2=2).sum()
        pairs = len(products) * head.num_groups * (head.num_groups - 1)
        return (products.sum() - same) / pairs


class GroupCrossEntropyLoss(nn.Module):
    """:func:`group_cross_entropy_loss` as a module."""

    def forward(self, head: SparseGroupHead) -> Tensor:
        """Return the loss of the head's group weights."""
        return group_cross_entropy_loss(head)
