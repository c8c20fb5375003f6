import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from protoxai import PrototypeHead, PrototypeTable, SparseGroupHead
from protoxai.losses import OffClassL1Loss, off_class_l1_loss
from tests.cases import UNEVEN, gradcheck_parameter, tables

HEADS = [PrototypeHead, SparseGroupHead]


def literally(weight: Tensor, column_class: Tensor) -> float:
    return sum(
        abs(float(weight[c, column]))
        for c in range(len(weight))
        for column, own in enumerate(column_class.tolist())
        if own != c
    )


@pytest.mark.parametrize("kind", HEADS)
@settings(max_examples=30)
@given(tables())
def test_as_the_method_says(
    kind: type[PrototypeHead | SparseGroupHead], table: PrototypeTable
) -> None:
    head = kind(table).double()
    head.weight.data.normal_()
    column_class = table.class_index if kind is PrototypeHead else head.group_class
    expected = literally(head.weight.detach(), column_class)
    for loss in (off_class_l1_loss, OffClassL1Loss()):
        assert loss(head).item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("kind", HEADS)
def test_loss_gradients(kind: type[PrototypeHead | SparseGroupHead]) -> None:
    head = kind(UNEVEN).double()
    assert gradcheck_parameter(off_class_l1_loss, head, "weight")


def test_own_class_weights_are_free() -> None:
    head = PrototypeHead(UNEVEN, off_class=0.0)
    assert off_class_l1_loss(head) == 0
    assert off_class_l1_loss(PrototypeHead(UNEVEN)).item() == 0.5 * 8 * 4


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_computed_in_float32_under_autocast(
    kind: type[PrototypeHead | SparseGroupHead], dtype: torch.dtype, device: torch.device
) -> None:
    head = kind(UNEVEN).to(device, dtype)
    with torch.autocast(device.type, dtype=dtype):
        assert off_class_l1_loss(head).dtype == torch.float32
