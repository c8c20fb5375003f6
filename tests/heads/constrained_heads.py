"""Heads whose group weights have to stay on the simplex, and a loss that moves them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from protoxai import PrototypeTable, SparseGroupHead
from protoxai.losses import group_entropy_loss
from tests.cases import UNEVEN

SUMS_BELOW_1 = torch.tensor([[0.25, 0.5, 0.0], [0.0, 0.0, 0.75]])


def small_head() -> SparseGroupHead:
    return SparseGroupHead(PrototypeTable([0, 0, 1], [0, 1, 0], 2, 2), num_groups=1)


def thresholded_head() -> SparseGroupHead:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    head.threshold_(0.3)
    # Some rows have lost a weight, so that a projection would be noticed.
    assert (head.group_weights().sum(1) < 0.9).any()
    return head


def assert_on_simplex(head: SparseGroupHead) -> None:
    weights = head.group_weights().detach()
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)))


def loss_of(head: SparseGroupHead, forward: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    activations = torch.rand(2, len(head.table), 3, 3)
    labels = torch.randint(0, head.num_classes, (2, 3, 3))
    logits = head(activations) if forward is None else forward(activations)
    return nn.functional.cross_entropy(logits, labels) + group_entropy_loss(head)
