"""Group diversity: the groups of a class should be active at different pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from protoxai.labels import check_ignore_index
from protoxai.losses.prototype_diversity import diversity_of
from protoxai.prototypes.table import PrototypeTable, check_table
from protoxai.runtime.checks import whole
from protoxai.runtime.tensors import tensor


def group_diversity_loss(
    group_scores: Tensor,
    labels: Tensor,
    group_class: Tensor | PrototypeTable,
    *,
    ignore_index: int = 255,
) -> Tensor:
    """Return the mean of ``exp(-D)`` over pairs of groups of the same class.

    D is defined by the softmax of group scores, as in
    :func:`~protoxai.losses.prototype_diversity_loss` by that of distances. Source: Porta et al.,
    WACV 2025 (arXiv 2409.09497), section 3.

    Args:
        group_scores: Group scores (B, N, h, w).
        labels: Labels, int64 (B, h, w).
        group_class: Class of each group, int64 (N,); or the head's ``group_table``, which avoids a
            transfer from the device.
        ignore_index: Label of pixels that do not count.

    Returns:
        Scalar in [0, 1].

    Raises:
        ValueError: If shapes do not fit.

    Example:
        >>> import torch
        >>> scores, labels = torch.ones(1, 2, 4, 4), torch.zeros(1, 4, 4).long()
        >>> group_diversity_loss(scores, labels, torch.tensor([0, 0]))
        tensor(1.)
    """
    if not isinstance(group_class, PrototypeTable):
        tensor("group_scores", group_scores, "batch groups height width", meta=True)
        size, hint = group_scores.shape[1], "one for each of the group_scores, as head.group_class"
        tensor("group_class", group_class, "groups", "integers", hint=hint, sizes={"groups": size})
        tensor("labels", labels, "batch height width", "integers")
        ignored = whole("ignore_index", ignore_index)
        group_class = _groups_as_table(group_class, labels, ignored)
    return diversity_of("group_scores", group_scores, labels, group_class, ignore_index)


class GroupDiversityLoss(nn.Module):
    """:func:`group_diversity_loss` as a module.

    Args:
        group_table: The head's ``group_table``.
        ignore_index: Label of pixels that do not count.
    """

    def __init__(self, group_table: PrototypeTable, ignore_index: int = 255) -> None:
        super().__init__()
        self.group_table = check_table(group_table, "group_table")
        self.ignore_index = check_ignore_index(ignore_index, group_table.num_classes)

    def extra_repr(self) -> str:
        """Return the arguments of the loss."""
        return f"{self.group_table}, ignore_index={self.ignore_index}"

    def forward(self, group_scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of group scores (B, N, h, w) and labels (B, h, w)."""
        return group_diversity_loss(
            group_scores, labels, self.group_table, ignore_index=self.ignore_index
        )


def _groups_as_table(group_class: Tensor, labels: Tensor, ignore_index: int) -> PrototypeTable:
    # Labels may contain classes beyond the last one with groups.
    largest = labels.where(labels != ignore_index, 0).max() if labels.numel() else torch.tensor(0)
    num_classes = max(int(group_class.max()), int(largest)) + 1
    return PrototypeTable(group_class, group_class * 0, num_classes, 1)
