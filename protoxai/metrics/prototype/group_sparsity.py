"""Group sparsity: concentration of each group on few prototypes."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.kinds import check_grouped
from protoxai.heads.linear import PrototypeHead
from protoxai.metrics.base.checks import THRESHOLD
from protoxai.metrics.base.per_model import ModelMetric
from protoxai.metrics.explanation.complexity import complexity
from protoxai.metrics.explanation.effective_number import effective_number
from protoxai.metrics.explanation.gini import gini
from protoxai.runtime.checks import number


class GroupSparsities(NamedTuple):
    """Sparsity of each group; ``float()`` returns the mean effective number.

    A group without weight has 0 prototypes, and NaN for the other values.

    Attributes:
        nonzero: Number of prototypes with a weight, int64 (N,).
        gini: Gini index of the weights (N,), in [0, 1 - 1/M_c].
        entropy: Entropy of the weights divided by log M_c (N,), in [0, 1]; NaN where M_c is 1.
        effective_number: Exponential of the entropy (N,), in [1, M_c].
    """

    nonzero: Tensor
    gini: Tensor
    entropy: Tensor
    effective_number: Tensor

    def __float__(self) -> float:
        return float(self.effective_number.nanmean())


def group_sparsity(
    head: PrototypeHead | SparseGroupHead, threshold: float = 0.05
) -> GroupSparsities:
    """Return how sparse each group's weights over its class's own M_c prototypes are.

    Args:
        head: Head of stage 2, which is not changed.
        threshold: Smallest weight that does not count as zero.

    Raises:
        ValueError: If the head has no groups.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable, SparseGroupHead
        >>> head = SparseGroupHead(PrototypeTable.regular(1, 1, 4), num_groups=1)
        >>> head.set_group_weights(torch.tensor([[0.48, 0.48, 0.04, 0.0]]))
        >>> group_sparsity(head).effective_number
        tensor([2.0000])
    """
    head, threshold = check_grouped(head), number("threshold", threshold, THRESHOLD)
    blocks = [_sparsities(head.group_weights(c), threshold) for c in head.classes.tolist()]
    return GroupSparsities(*(torch.cat(column) for column in zip(*blocks, strict=True)))


def _sparsities(weights: Tensor, threshold: float) -> GroupSparsities:
    weights = weights.detach()
    weights = torch.where(weights >= threshold, weights, 0)
    # The logarithm of a single prototype is 0, so that its entropy is 0 / 0, which is NaN.
    longest = torch.tensor(float(weights.shape[1]), device=weights.device).log()
    return GroupSparsities(
        (weights > 0).sum(1),
        gini(weights),
        complexity(weights) / longest,
        effective_number(weights),
    )


class GroupSparsity(ModelMetric):
    """Sparsity of the groups, see :func:`group_sparsity`.

    A lower count, entropy and effective number of prototypes are easier to read, and so is a
    higher Gini index; none knows whether the prototypes are right.

    Args:
        threshold: Smallest weight that does not count as zero.
        **options: Options of ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable, SparseGroupHead
        >>> head = SparseGroupHead(PrototypeTable.regular(1, 1, 4), num_groups=1)
        >>> head.set_group_weights(torch.tensor([[0.5, 0.5, 0.0, 0.0]]))
        >>> metric = GroupSparsity()
        >>> metric.update(head)
        >>> metric.values()["gini"]
        0.5
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "nonzero": None,
        "gini": None,
        "entropy": None,
        "effective_number": None,
    }
    higher_is_better = None

    def __init__(self, threshold: float = 0.05, **options: Any) -> None:
        super().__init__(**options)
        self.threshold = number("threshold", threshold, THRESHOLD)

    def update(self, head: PrototypeHead | SparseGroupHead) -> None:
        """Measure a head's groups."""
        self._measured = group_sparsity(head, self.threshold)
