"""Scale maximum: a group should rely on one prototype per scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.kinds import check_grouped
from protoxai.runtime.precision import widen, without_autocast


def scale_max_loss(head: SparseGroupHead) -> Tensor:
    """Return minus the mean of a group's largest weight at each scale.

    The mean is over the groups of a class, then over all classes and scales with a prototype.
    Source: Porta et al., WACV 2025 (arXiv 2409.09497).

    Args:
        head: The grouping head.

    Returns:
        Scalar in [-1, 0].

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> head = SparseGroupHead(PrototypeTable.regular(1, 2, 1), num_groups=1)
        >>> head.set_group_weights(torch.tensor([[0.25, 0.75]]))
        >>> scale_max_loss(head).item()
        -0.5
    """
    head = check_grouped(head)
    with without_autocast(head.group_parameter):
        (weights,) = widen(head.padded_weights())
        weights = weights.masked_fill(~head.member_mask, -torch.inf)
        scales = head.member_scale.expand_as(weights)
        shape = (*weights.shape[:2], head.table.num_scales)
        largest = weights.new_full(shape, -torch.inf).scatter_reduce(2, scales, weights, "amax")
        present = (head.table.counts[head.classes] > 0)[:, None].to(weights.device)
        present = present.expand_as(largest)
        return -largest.where(present, 0).sum() / present.sum()


class ScaleMaxLoss(nn.Module):
    """:func:`scale_max_loss` as a module."""

    def forward(self, head: SparseGroupHead) -> Tensor:
        """Return the loss of the head's group weights."""
        return scale_max_loss(head)
