"""The operations of compiled graphs, as PyTorch wants operations to be."""

import pytest
import torch
from torch.library import opcheck

from protoxai import MultiScalePrototypeLayer, SparseGroupHead, comparing, grouping, last_layer
from protoxai.distances import Rows
from tests.cases import UNEVEN

# The check reads gradients of what is no leaf.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")

SPANS = MultiScalePrototypeLayer(UNEVEN, dim=4)._rows
NUMBERS: list[Rows] = [(UNEVEN.scale_index == s).nonzero().flatten() for s in range(4)]
EPSILON = 1e-2
BOTH = [(True, False), (False, True), (True, True)]


def leaf(*size: int) -> torch.Tensor:
    return torch.rand(size, requires_grad=True)


@pytest.mark.parametrize("rows", [SPANS, NUMBERS])
def test_comparison(rows: list[Rows]) -> None:
    given = (leaf(2, 4, 4, 3, 5), leaf(8, 4), *comparing._spelt(rows), EPSILON)
    opcheck(comparing._compare_in_graph, given)


@pytest.mark.parametrize("needed", BOTH)
@pytest.mark.parametrize("incoming", BOTH)
def test_gradients_of_the_comparison(
    incoming: tuple[bool, bool], needed: tuple[bool, bool]
) -> None:
    grads = [torch.rand(2, 8, 3, 5) if comes else None for comes in incoming]
    tensors = (torch.rand(2, 4, 4, 3, 5), torch.rand(8, 4), torch.rand(2, 8, 3, 5))
    given = (*tensors, *comparing._spelt(SPANS), EPSILON, *grads, list(needed))
    opcheck(comparing._differentiate_in_graph, given)


@pytest.mark.parametrize("needed", BOTH)
def test_group_sums(needed: tuple[bool, bool]) -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    rows = (head._members, head._mask)
    activations, weights = leaf(2, 8, 3, 5), torch.rand_like(head.group_parameter)
    weights = (weights * head.member_mask).requires_grad_()
    opcheck(grouping._sum_in_graph, (activations, weights, *rows))
    incoming = torch.rand(2, *weights.shape[:2], 3, 5)
    given = (activations.detach(), weights.detach(), *rows, incoming, list(needed))
    opcheck(grouping._differentiate_in_graph, given)


@pytest.mark.parametrize("needed", BOTH)
@pytest.mark.parametrize("trained", [True, False])
def test_class_logits(trained: bool, needed: tuple[bool, bool]) -> None:
    weight, maps, unit_class = leaf(70, 140), leaf(2, 140, 3, 5), torch.arange(140) // 2
    opcheck(last_layer._classify_in_graph, (weight, maps, unit_class, trained))
    given = (weight.detach(), maps.detach(), torch.rand(2, 70, 3, 5), list(needed))
    opcheck(last_layer._differentiate_in_graph, given)
