import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from protoxai import PrototypeTable, SparseGroupHead
from protoxai.losses import GroupCrossEntropyLoss, group_cross_entropy_loss
from tests.cases import (
    UNEVEN,
    gradcheck_parameter,
    group_heads,
    mean_of,
    parameter_and_gradient,
    poison_padding,
)


def literally(head: SparseGroupHead) -> Tensor:
    terms = []
    for c in head.table.classes.tolist():
        for first, second in permutations(head.group_weights(c), 2):
            logarithms = [torch.log(w.clamp_min(1e-5)) for w in second]
            terms.append(sum(w * log for w, log in zip(first, logarithms, strict=True)))
    return mean_of(terms, head.group_parameter)


@settings(max_examples=40)
@given(group_heads())
def test_as_the_method_says(head: SparseGroupHead) -> None:
    expected = parameter_and_gradient(literally, head)
    poison_padding(head)
    for loss in (group_cross_entropy_loss, GroupCrossEntropyLoss()):
        found = parameter_and_gradient(loss, head)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_loss_gradients() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=3).double()
    head.group_parameter.data.uniform_(0.1, 0.9)
    assert gradcheck_parameter(group_cross_entropy_loss, head, "group_parameter")


def test_by_hand() -> None:
    head = SparseGroupHead(PrototypeTable([0, 0], [0, 1], 1, 2), num_groups=2)
    head.set_group_weights(torch.tensor([[1, 0], [0.25, 0.75]]))
    expected = (math.log(0.25) + 0.75 * math.log(1e-5)) / 2
    assert group_cross_entropy_loss(head).item() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("num_groups", [1, 2])
def test_computed_in_float32_under_autocast(
    num_groups: int, dtype: torch.dtype, device: torch.device
) -> None:
    head = SparseGroupHead(UNEVEN, num_groups).to(device, dtype)
    with torch.autocast(device.type, dtype=dtype):
        value = group_cross_entropy_loss(head)
    assert value.dtype == torch.float32
    assert torch.equal(value, group_cross_entropy_loss(head.float()))
