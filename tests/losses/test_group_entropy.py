import math

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from protoxai import PrototypeTable, SparseGroupHead
from protoxai.losses import GroupEntropyLoss, group_entropy_loss
from tests.cases import (
    UNEVEN,
    gradcheck_parameter,
    group_heads,
    parameter_and_gradient,
    poison_padding,
)


def literally(head: SparseGroupHead) -> Tensor:
    terms = []
    for c in head.table.classes.tolist():
        for weights in head.group_weights(c):
            if len(weights) < 2:
                terms.append(weights.sum() * 0)
            else:
                entropy = -sum(w * torch.log(w + 1e-5) for w in weights)
                terms.append(entropy / math.log(len(weights)))
    return torch.stack(terms).mean()


@settings(max_examples=40)
@given(group_heads())
def test_as_the_method_says(head: SparseGroupHead) -> None:
    expected = parameter_and_gradient(literally, head)
    poison_padding(head)
    for loss in (group_entropy_loss, GroupEntropyLoss()):
        found = parameter_and_gradient(loss, head)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_loss_gradients() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2).double()
    head.group_parameter.data.uniform_(0.1, 0.9)
    assert gradcheck_parameter(group_entropy_loss, head, "group_parameter")


@pytest.mark.parametrize(
    ("weights", "entropy"),
    [([0.25] * 4, 1), ([1.0, 0, 0, 0], 0), ([0.5, 0.5, 0, 0], 0.5)],
)
def test_by_hand(weights: list[float], entropy: float) -> None:
    head = SparseGroupHead(PrototypeTable([0] * 4, [0] * 4, 1, 1), num_groups=1)
    head.set_group_weights(torch.tensor([weights]))
    assert group_entropy_loss(head).item() == pytest.approx(entropy, abs=1e-4)


def test_class_with_one_prototype_has_no_entropy_but_counts() -> None:
    head = SparseGroupHead(PrototypeTable([0, 1, 1], [0, 0, 0], 2, 1), num_groups=1)
    head.set_group_weights(torch.tensor([[1, 0, 0], [0, 0.5, 0.5]]))
    value, gradient = parameter_and_gradient(group_entropy_loss, head)
    assert value.item() == pytest.approx(0.5, abs=1e-4)
    assert gradient.isfinite().all()
    alone = SparseGroupHead(PrototypeTable([0], [0], 1, 1))
    value, gradient = parameter_and_gradient(group_entropy_loss, alone)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_computed_in_float32_under_autocast(dtype: torch.dtype, device: torch.device) -> None:
    head = SparseGroupHead(UNEVEN).to(device, dtype)
    with torch.autocast(device.type, dtype=dtype):
        value = group_entropy_loss(head)
    assert value.dtype == torch.float32
    assert torch.equal(value, group_entropy_loss(head.float()))
