"""The last layer of both heads, dense and tied."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from protoxai import PrototypeHead, PrototypeTable, SparseGroupHead
from protoxai.losses import ScaleProtoSegLoss, off_class_l1_loss
from protoxai.metrics import active_prototypes
from tests.cases import UNEVEN
from tests.toys import Trunk, small_model

Head = PrototypeHead | SparseGroupHead
either_head = pytest.mark.parametrize("kind", [PrototypeHead, SparseGroupHead])


def twins(kind: type[Head]) -> tuple[Head, Head]:
    """A trained tied head, and the dense head with the same weights."""
    tied, dense = kind(UNEVEN, last_layer="tied").double(), kind(UNEVEN).double()
    with torch.no_grad():
        tied.weight.add_(torch.randn_like(tied.weight))
        dense.weight.copy_(tied.class_weights())
        if isinstance(tied, SparseGroupHead):
            dense.group_parameter.copy_(tied.group_parameter)
    return tied, dense


@either_head
def test_a_tied_layer_has_two_weights_a_unit(kind: type[Head]) -> None:
    tied, dense = kind(UNEVEN, last_layer="tied"), kind(UNEVEN)
    assert tied.weight.shape == (2, len(tied.unit_class))
    assert dense.weight.shape == (UNEVEN.num_classes, len(dense.unit_class))
    assert torch.equal(tied.class_weights(), dense.weight)


@either_head
def test_equal_layers_have_equal_logits_and_losses(kind: type[Head]) -> None:
    tied, dense = twins(kind)
    activations = torch.rand(2, 8, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(tied(activations), dense(activations), rtol=0, atol=1e-12)
    losses = [off_class_l1_loss(head) for head in (tied, dense)]
    torch.testing.assert_close(*losses, rtol=0, atol=1e-12)
    assert losses[0] > 0


@either_head
def test_a_tied_weight_has_the_sum_of_the_dense_gradients(kind: type[Head]) -> None:
    tied, dense = twins(kind)
    activations = torch.rand(2, 8, 3, 4, dtype=torch.float64)
    for head in (tied, dense):
        (head(activations).square().sum() + off_class_l1_loss(head)).backward()
    own = dense.own_class()
    expected = [dense.weight.grad[own].sum(), dense.weight.grad[~own].sum()]
    torch.testing.assert_close(tied.weight.grad.sum(1), torch.stack(expected))


@either_head
@pytest.mark.parametrize("last_layer", ["dense", "tied"])
def test_weights_for_reading(kind: type[Head], last_layer: str) -> None:
    head = kind(UNEVEN, last_layer=last_layer)
    torch.nn.init.normal_(head.weight)
    weights = head.class_weights()
    for class_index in range(UNEVEN.num_classes):
        assert torch.equal(head.class_weights(class_index), weights[class_index])
    units = torch.arange(len(head.unit_class))
    assert torch.equal(head.own_class_weights(), weights[head.unit_class, units])
    for wrong in (-1, UNEVEN.num_classes):
        with pytest.raises(
            ValueError, match=f"class_index is {wrong}, expected a whole number from 0 to 4"
        ):
            head.class_weights(wrong)


@either_head
def test_an_unknown_last_layer(kind: Callable[..., Head]) -> None:
    with pytest.raises(ValueError, match=r"last_layer is 'tide', .*did you mean 'tied'"):
        kind(UNEVEN, last_layer="tide")


def test_dropped_prototypes_of_a_tied_head() -> None:
    head = PrototypeHead(UNEVEN, last_layer="tied")
    torch.nn.init.normal_(head.weight)
    expected = head.class_weights()[:, [1, 3, 6]]
    assert len(active_prototypes(head)) == int((head.weight[0] > 1e-5).sum())
    head.keep([6, 1, 3])
    assert torch.equal(head.class_weights(), expected)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_tied_model_is_saved_and_exported(
    stage: int, tmp_path: Path, device: torch.device
) -> None:
    model = small_model(5, last_layer="tied").to(device)
    if stage == 2:
        model.group()
    torch.nn.init.normal_(model.head.weight)
    images = torch.randn(2, 3, 32, 40, device=device)
    model.save_pretrained(tmp_path)
    expected = model.eval()(images).logits
    loaded = type(model).from_pretrained(tmp_path, backbone=Trunk()).to(device)
    assert loaded.head.last_layer == "tied"
    torch.testing.assert_close(loaded(images).logits, expected)
    torch.testing.assert_close(model.logits(images), expected, rtol=1e-4, atol=1e-4)
    exported = torch.export.export(model, (images,)).module()
    torch.testing.assert_close(exported(images).logits, expected)


def test_a_tied_head_is_trained() -> None:
    model = small_model(3, last_layer="tied").group()
    criterion = ScaleProtoSegLoss(prototype_diversity=0, off_class_l1=1e-3)
    labels = torch.randint(0, 3, (2, 32, 40))
    output = model(torch.randn(2, 3, 32, 40))
    criterion(output, labels, model.head)["loss"].backward()
    assert (model.head.weight.grad != 0).all()


@either_head
@pytest.mark.parametrize(
    "table", [UNEVEN, PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=2)]
)
def test_a_representation_makes_the_same_head(kind: type[Head], table: PrototypeTable) -> None:
    head = kind(table, off_class=-1, last_layer="tied")
    again = eval(repr(head))
    assert repr(again) == repr(head)
    assert again.table == table
    assert torch.equal(again.weight, head.weight)


@either_head
def test_units_that_do_not_fit(kind: type[Head]) -> None:
    with pytest.raises(ValueError, match=r"got shape \(1, 5, 2, 2\), expected \(batch"):
        kind(UNEVEN, last_layer="tied").classify(torch.rand(1, 5, 2, 2))
