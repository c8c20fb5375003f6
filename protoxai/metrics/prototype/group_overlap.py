"""Group overlap: how much the groups of a class consist of the same prototypes."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.kinds import check_grouped
from protoxai.heads.linear import PrototypeHead
from protoxai.metrics.base.per_model import ModelMetric
from protoxai.metrics.base.shares import shares


class GroupOverlaps(NamedTuple):
    """Overlap of each class's groups; ``float()`` returns the mean over classes.

    Attributes:
        overlap: Mean over the pairs of a class's groups (C,), in [0, 1]: 0 if they share no
            prototype, 1 if their weights are proportional. NaN for a class without a pair of groups
            that have weight.
    """

    overlap: Tensor

    def __float__(self) -> float:
        return float(self.overlap.nanmean())


def group_overlap(head: PrototypeHead | SparseGroupHead) -> GroupOverlaps:
    """Return how much of their weight the groups of a class have on the same prototypes.

    Two groups with the weights w and w', each divided by its sum, overlap by ``Σ_i min(w_i, w'_i)``
    (the intersection of histograms; Swain and Ballard, "Color indexing", IJCV 1991). Three groups
    of the same prototypes explain one thing three times.

    Args:
        head: Head of stage 2. Apply ``head.threshold_`` before, so that weights too small to matter
            do not count.

    Raises:
        ValueError: If the head has no groups.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable, SparseGroupHead
        >>> head = SparseGroupHead(PrototypeTable.regular(1, 1, 2), num_groups=2)
        >>> head.set_group_weights(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
        >>> group_overlap(head).overlap
        tensor([0.5000], dtype=torch.float64)
    """
    head = check_grouped(head)
    overlap = torch.full((head.num_classes,), torch.nan, dtype=torch.float64)
    for class_index in head.classes.tolist():
        weights = shares(head.group_weights(class_index).detach().cpu())
        one, other = torch.triu_indices(len(weights), len(weights), 1)
        overlap[class_index] = torch.minimum(weights[one], weights[other]).sum(1).nanmean()
    return GroupOverlaps(overlap)


class GroupOverlap(ModelMetric):
    """Overlap of the groups of a class, see :func:`group_overlap`.

    Groups of the same prototypes say the same; it does not know whether they are right.

    Args:
        **options: Options of ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable, SparseGroupHead
        >>> head = SparseGroupHead(PrototypeTable.regular(1, 1, 2), num_groups=2)
        >>> head.set_group_weights(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        >>> metric = GroupOverlap()
        >>> metric.update(head)
        >>> metric.values()
        {'overlap': 0.0}
    """

    figures: ClassVar[dict[str, bool | None]] = {"overlap": None}
    higher_is_better = None

    def update(self, head: PrototypeHead | SparseGroupHead) -> None:
        """Measure a head's groups."""
        self._measured = group_overlap(head)
