import pytest
import torch
from hypothesis import given
from torch import Tensor

from protoxai import PrototypeHead, PrototypeTable, SparseGroupHead
from protoxai.metrics import ActivePrototypes, active_prototypes
from tests.cases import UNEVEN, head_with, reordered_heads

TWO_CLASSES = PrototypeTable([0, 1, 0, 1, 0], [0] * 5, num_classes=2, num_scales=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_weight_below_the_threshold_does_not_count_and_the_threshold_does(dtype) -> None:
    rows = [
        [0.05, 0, 0.0499, 0, 0.9],
        [0.0499, 0, 0, 0, 0.9],
        [0, 0.3, 0, 0.02, 0],
        [0, 0.3, 0, 0.04, 0],
    ]
    head = head_with(TWO_CLASSES, rows, dtype)
    assert active_prototypes(head).tolist() == [0, 1, 4]
    assert active_prototypes(head, threshold=0.03).tolist() == [0, 1, 2, 3, 4]
    assert active_prototypes(head, threshold=0.5).tolist() == [4]


def test_threshold_0_counts_what_is_above_zero() -> None:
    head = head_with(
        TWO_CLASSES, [[1e-9, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    )
    assert active_prototypes(head, threshold=0).tolist() == [0, 1, 4]


def test_the_head_is_left_as_it_is_and_thresholding_agrees() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=3)
    before = head.group_parameter.clone()
    result = active_prototypes(head, threshold=0.3)
    assert torch.equal(head.group_parameter, before)
    head.threshold_(0.3)
    assert torch.equal(active_prototypes(head, threshold=0), result)
    assert 0 < len(result) < len(UNEVEN)


def test_in_stage_1_the_own_class_weight_alone_counts() -> None:
    head = PrototypeHead(TWO_CLASSES)
    assert active_prototypes(head).tolist() == [0, 1, 2, 3, 4]
    #                                    own class:  0    1     0     1      0
    head.weight.data = torch.tensor([[0.5, 9.0, 1e-3, 9.0, -2.0], [9.0, 1.1e-3, 9.0, 0.0, 9.0]])
    assert active_prototypes(head).tolist() == [0, 1]


@given(reordered_heads())
def test_the_order_of_prototypes_does_not_matter(
    heads: tuple[SparseGroupHead, Tensor, SparseGroupHead],
) -> None:
    head, order, other = heads
    assert (
        order[active_prototypes(other)].sort().values.tolist() == active_prototypes(head).tolist()
    )


def test_numbers_are_int64_even_if_there_are_none() -> None:
    head = PrototypeHead(TWO_CLASSES)
    head.weight.data.zero_()
    none = active_prototypes(head)
    assert none.dtype == torch.int64
    assert none.shape == (0,)


def test_on_each_device(device: torch.device) -> None:
    for head in (PrototypeHead(UNEVEN), SparseGroupHead(UNEVEN)):
        result = active_prototypes(head.to(device), threshold=0)
        assert result.device.type == device.type
        assert set(result.tolist()) <= set(range(len(UNEVEN)))


def test_counts_by_hand_in_total_per_class_and_per_group() -> None:
    rows = [
        [0.05, 0, 0.0499, 0, 0.9],
        [0.0499, 0, 0, 0, 0.9],
        [0, 0.3, 0, 0.02, 0],
        [0, 0, 0, 0.04, 0],
    ]
    metric = ActivePrototypes()
    metric.update(head_with(TWO_CLASSES, rows))
    counts = metric.compute()
    assert counts.total == 3
    assert counts.per_class.tolist() == [2, 1]
    assert counts.per_group.tolist() == [2, 1, 1, 0]
    assert float(counts) == 3
    assert metric.values() == {"total": 3}
    assert metric.higher_is_better is None


def test_stage_1_has_no_groups_to_count() -> None:
    metric = ActivePrototypes()
    metric.update(PrototypeHead(UNEVEN))
    assert metric.compute().per_group.shape == (0,)
    assert metric.compute().per_class.tolist() == [4, 0, 3, 1, 0]
