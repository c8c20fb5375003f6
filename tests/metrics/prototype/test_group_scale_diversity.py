import math

import pytest
import torch
from hypothesis import given
from torch import Tensor

from protoxai import PrototypeHead, PrototypeTable, SparseGroupHead
from protoxai.metrics import GroupScaleDiversity, group_scale_diversity
from tests.cases import head_with, reordered_heads

# Class 0 at three scales, class 1 at one, class 2 without prototypes.
TABLE = PrototypeTable([0, 0, 1, 0, 0, 1], [0, 1, 2, 2, 0, 2], num_classes=3, num_scales=4)
ROWS = [
    [0.25, 0.5, 0, 0, 0.25, 0],  # half on scale 0, half on scale 1
    [0.5, 0, 0, 0, 0.5, 0],  # two prototypes, a single scale
    [0, 0, 0.3, 0, 0, 0.7],
    [0, 0, 0, 0, 0, 0],
]


def test_by_hand() -> None:
    nan = math.nan
    result = group_scale_diversity(head_with(TABLE, ROWS))
    half = math.log(2) / math.log(3)
    for measured, expected in [
        (result.mass, [[0.5, 0.5, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [nan] * 4]),
        (result.group_entropy, [half, 0, nan, nan]),
        (result.group_effective_number, [2, 1, 1, nan]),
        (result.class_entropy, [half / 2, nan, nan]),
        (result.class_effective_number, [1.5, 1, nan]),
        (result.entropy, half / 2),
        (result.effective_number, 4 / 3),
        # The group without weight spans nothing and does not count.
        (result.spanning, 1 / 3),
    ]:
        torch.testing.assert_close(measured, torch.tensor(expected), equal_nan=True)


def test_even_over_all_scales_is_1() -> None:
    head = SparseGroupHead(PrototypeTable.regular(1, 4, 1), num_groups=1)
    head.set_group_weights(torch.full((1, 4), 0.25))
    metric = GroupScaleDiversity()
    metric.update(head)
    assert metric.values() == pytest.approx({"entropy": 1, "effective_number": 4, "spanning": 1})
    assert metric.higher_is_better is None


@given(reordered_heads())
def test_the_order_of_prototypes_does_not_matter(
    heads: tuple[SparseGroupHead, Tensor, SparseGroupHead],
) -> None:
    head, _, other = heads
    pairs = zip(group_scale_diversity(head), group_scale_diversity(other), strict=True)
    for one, another in pairs:
        torch.testing.assert_close(one, another, equal_nan=True)


def test_stage_1_has_no_groups() -> None:
    with pytest.raises(ValueError, match="has no groups"):
        group_scale_diversity(PrototypeHead(TABLE))
