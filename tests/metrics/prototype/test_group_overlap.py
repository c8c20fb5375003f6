import math
from itertools import combinations

import pytest
import torch
from hypothesis import given
from torch import Tensor

from protoxai import PrototypeHead, PrototypeTable, SparseGroupHead
from protoxai.metrics import GroupOverlap, group_overlap
from tests.cases import head_with, reordered_heads

# Class 0 has four prototypes, class 1 a single one, class 2 none.
TABLE = PrototypeTable([0, 0, 1, 0, 0], [0] * 5, num_classes=3, num_scales=1)


def head_of(rows: list[list[float]]) -> SparseGroupHead:
    return head_with(TABLE, rows, torch.float64)


def test_by_hand() -> None:
    head = head_of([[0.25, 0.25, 0, 0.25, 0.25], [0.2, 0, 0, 0.6, 0], [0, 0, 1, 0, 0],
                    [0, 0, 0.5, 0, 0]])  # fmt: skip
    # The second group's shares are 1/4 and 3/4, of which 1/4 each are the first group's too.
    expected = torch.tensor([0.5, 1, math.nan]).double()
    torch.testing.assert_close(group_overlap(head).overlap, expected, equal_nan=True)
    metric = GroupOverlap()
    metric.update(head)
    assert float(metric.compute()) == pytest.approx(0.75)
    assert metric.values()["overlap"] == pytest.approx(0.75)


def test_groups_without_weight_and_disjoint_groups() -> None:
    rows: list[list[float]] = [[0.5, 0.5, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0] * 5]
    assert group_overlap(head_of(rows)).overlap.tolist()[0] == 0
    assert group_overlap(head_of(rows)).overlap[1:].isnan().all()


@given(reordered_heads())
def test_overlap_agrees_with_a_loop_and_does_not_depend_on_the_order(
    heads: tuple[SparseGroupHead, Tensor, SparseGroupHead],
) -> None:
    head, _, other = heads
    overlap = group_overlap(head).overlap
    torch.testing.assert_close(overlap, group_overlap(other).overlap, equal_nan=True)
    weights, group_class = head.group_weights().detach().double(), head.group_class.tolist()
    for class_index in range(head.num_classes):
        own = [row for row, c in zip(weights, group_class, strict=True) if c == class_index]
        own = [row / row.sum() for row in own if float(row.sum()) > 0]
        found = [
            sum(min(a, b) for a, b in zip(one.tolist(), another.tolist(), strict=True))
            for one, another in combinations(own, 2)
        ]
        expected = sum(found) / len(found) if found else math.nan
        assert float(overlap[class_index]) == pytest.approx(expected, nan_ok=True)


def test_stage_1_has_no_groups() -> None:
    with pytest.raises(ValueError, match=r"PrototypeHead, which has no groups.*model\.group"):
        group_overlap(PrototypeHead(TABLE))
