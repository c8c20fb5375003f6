import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from protoxai import PrototypeTable, SparseGroupHead
from protoxai.losses import ScaleMaxLoss, scale_max_loss
from tests.cases import (
    UNEVEN,
    gradcheck_parameter,
    group_heads,
    parameter_and_gradient,
    poison_padding,
    set_of,
)


def literally(head: SparseGroupHead) -> Tensor:
    weights = head.group_weights()
    terms = []
    for c in head.table.classes.tolist():
        groups = (head.group_class == c).nonzero().flatten().tolist()
        for scale in range(head.table.num_scales):
            own = set_of(head.table, c, scale)
            if own:
                terms.append(sum(weights[n, own].amax() for n in groups) / len(groups))
    return -torch.stack(terms).mean()


@settings(max_examples=60)
@given(group_heads())
def test_as_the_method_says(head: SparseGroupHead) -> None:
    expected = parameter_and_gradient(literally, head)
    poison_padding(head)
    for loss in (scale_max_loss, ScaleMaxLoss()):
        found = parameter_and_gradient(loss, head)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_loss_gradients() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2).double()
    head.group_parameter.data.uniform_(0.1, 0.9)
    assert gradcheck_parameter(scale_max_loss, head, "group_parameter")


def test_by_hand() -> None:
    table = PrototypeTable([0, 0, 0, 1], [0, 0, 1, 1], num_classes=3, num_scales=2)
    head = SparseGroupHead(table, num_groups=2)
    head.set_group_weights(
        torch.tensor([[0.5, 0.25, 0.25, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0.5]])
    )
    # Class 0: (0.5 + 0) / 2 at scale 0, (0.25 + 1) / 2 at scale 1; class 1: (1 + 0.5) / 2.
    assert scale_max_loss(head).item() == pytest.approx(-(0.25 + 0.625 + 0.75) / 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_computed_in_float32_under_autocast(dtype: torch.dtype, device: torch.device) -> None:
    head = SparseGroupHead(UNEVEN).to(device, dtype)
    with torch.autocast(device.type, dtype=dtype):
        value = scale_max_loss(head)
    assert value.dtype == torch.float32
    assert torch.equal(value, scale_max_loss(head.float()))
