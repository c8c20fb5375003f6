"""Group entropy: a group should combine few prototypes."""

from __future__ import annotations

from torch import Tensor, nn

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.kinds import check_grouped
from protoxai.runtime.precision import widen, without_autocast

LOG_OFFSET = 1e-5


def group_entropy_loss(head: SparseGroupHead) -> Tensor:
    """Return the mean normalised entropy of the groups' weights.

    It is ``-sum_i w_i log(w_i + 1e-5) / log(M_c)``, where M_c is the number of prototypes of the
    class, and 0 for a class with one prototype. Source: Porta et al., WACV 2025 (arXiv 2409.09497),
    section 3.

    Args:
        head: The grouping head.

    Returns:
        Scalar in approximately [0, 1].

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> head = SparseGroupHead(PrototypeTable.regular(1, 1, 4), num_groups=1)
        >>> head.set_group_weights(torch.tensor([[0.0, 1.0, 0.0, 0.0]]))
        >>> round(group_entropy_loss(head).item(), 4)
        -0.0
    """
    head = check_grouped(head)
    with without_autocast(head.group_parameter):
        (weights,) = widen(head.padded_weights())
        entropy = -(weights * (weights + LOG_OFFSET).log()).sum(2)
        prototypes = head.member_mask.sum(2)
        normalised = entropy / prototypes.clamp_min(2).to(entropy.dtype).log()
        return normalised.where(prototypes >= 2, 0).mean()


class GroupEntropyLoss(nn.Module):
    """:func:`group_entropy_loss` as a module."""

    def forward(self, head: SparseGroupHead) -> Tensor:
        """Return the loss of the head's group weights."""
        return group_entropy_loss(head)
