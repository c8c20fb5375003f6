"""The operations of compiled graphs, as PyTorch wants operations to be."""

import pytest
import torch
from torch.library import opcheck

from protoxai import (
    MultiScalePrototypeLayer,
    PrototypeHead,
    PrototypeTable,
    SparseGroupHead,
    comparing,
    grouping,
    last_layer,
)
from protoxai.kernels.reference import Rows
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


@pytest.mark.parametrize("trained", [True, False])
def test_class_logits(trained: bool) -> None:
    # 70 classes, of which some have no unit and some have several.
    unit_class = torch.arange(0, 140, 3).div(2, rounding_mode="floor").repeat(2)
    table = PrototypeTable(unit_class, torch.zeros_like(unit_class), num_classes=70, num_scales=1)
    weight = PrototypeHead(table).weight
    assert last_layer.uniform_layer(weight.detach(), table)
    maps = leaf(2, len(table), 3, 5)
    given = (weight, maps, *last_layer._units(table), trained)
    opcheck(last_layer._classify_in_graph, given)
    found = last_layer._classify_in_graph(*given)
    torch.testing.assert_close(found, torch.einsum("cu,buhw->bchw", weight, maps))


@pytest.mark.parametrize("needed", BOTH)
def test_gradients_of_class_logits(needed: tuple[bool, bool]) -> None:
    weight, maps, grad = torch.rand(7, 9), torch.rand(2, 9, 3, 5), torch.rand(2, 7, 3, 5)
    given = (weight if needed[1] else None, maps if needed[0] else None, grad)
    opcheck(last_layer._differentiate_in_graph, given)


@pytest.mark.parametrize(("layer_trained", "kept"), [(True, True), (False, False)])
def test_a_frozen_last_layer_keeps_no_maps(layer_trained: bool, kept: bool) -> None:
    table = PrototypeTable.regular(num_classes=3, num_scales=1, per_scale=3)
    weight, maps = PrototypeHead(table).weight.requires_grad_(layer_trained), leaf(1, 9, 4, 4)
    saved = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        last_layer._classify_in_graph(weight, maps, *last_layer._units(table), layer_trained)
    assert (maps.shape in saved) == kept
