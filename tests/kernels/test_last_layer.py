import pytest
import torch
from torch import Tensor

from protoxai import (
    MultiScalePrototypeLayer,
    PrototypeHead,
    PrototypeTable,
    SparseGroupHead,
    last_layer,
)
from protoxai.kernels.last_layer import class_logits, uniform_layer
from protoxai.kernels.stream import stream_logits

TABLES = [
    PrototypeTable.regular(5, 2, 3),
    PrototypeTable([3, 0, 0, 3, 1, 3, 0], [1, 0, 1, 0, 0, 1, 1], num_classes=5, num_scales=2),
]


@pytest.fixture(autouse=True)
def few_classes_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_layer, "MANY_CLASSES", 2)
    monkeypatch.setattr(last_layer, "ROWS_AT_ONCE", 2)


def uniform_weight(table: PrototypeTable) -> Tensor:
    own = table.class_index == torch.arange(table.num_classes)[:, None]
    to_others, to_own = torch.randn(2, len(table), dtype=torch.float64)
    return torch.where(own, to_own, to_others)


@pytest.mark.parametrize("table", TABLES)
def test_a_uniform_layer_is_the_same_product(table: PrototypeTable) -> None:
    weight = uniform_weight(table)
    assert uniform_layer(weight, table) is not None
    maps = torch.randn(2, len(table), 7, dtype=torch.float64, requires_grad=True)
    logits = class_logits(weight, maps, table)
    torch.testing.assert_close(logits, weight @ maps)
    direction = torch.randn_like(logits)
    (gradient,) = torch.autograd.grad(logits, maps, direction)
    torch.testing.assert_close(gradient, weight.T @ direction)


def test_own_weights_like_the_others_are_uniform() -> None:
    assert uniform_layer(torch.ones(5, 30), TABLES[0]) is not None


@pytest.mark.parametrize("table", TABLES)
def test_one_other_weight_makes_a_layer_dense(table: PrototypeTable) -> None:
    for class_index in range(table.num_classes):
        for unit in range(len(table)):
            weight = uniform_weight(table)
            weight[class_index, unit] += 1
            is_own = int(table.class_index[unit]) == class_index
            assert (uniform_layer(weight, table) is not None) == is_own


def test_a_layer_in_training_is_dense() -> None:
    weight = uniform_weight(TABLES[0]).requires_grad_()
    assert uniform_layer(weight, TABLES[0]) is None
    with torch.no_grad():
        assert uniform_layer(weight, TABLES[0]) is not None
    maps = torch.randn(1, 30, 4, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(class_logits(weight, maps, TABLES[0]).sum(), weight)
    torch.testing.assert_close(gradient, maps.sum((0, 2)).expand(5, -1))


@pytest.mark.parametrize("kind", [PrototypeHead, SparseGroupHead])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("trained", [False, True])
def test_streamed_logits(
    table: PrototypeTable, kind: type[PrototypeHead | SparseGroupHead], trained: bool
) -> None:
    layer, head = MultiScalePrototypeLayer(table, dim=4).double(), kind(table).double()
    if trained:
        torch.nn.init.normal_(head.weight)
    embedding = torch.rand(2, 2, 4, 3, 5, dtype=torch.float64)
    activations = layer(embedding).activations
    units = activations if kind is PrototypeHead else head.scores(activations)
    logits = torch.einsum("cu,buhw->bchw", head.weight, units)
    torch.testing.assert_close(stream_logits(layer, head, embedding), logits)
    with torch.no_grad():
        torch.testing.assert_close(head(activations), logits)
