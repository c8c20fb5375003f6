import math

import pytest
import torch
from hypothesis import given
from torch import Tensor

from protoxai import PrototypeHead, PrototypeTable, SparseGroupHead
from protoxai.metrics import GroupSparsity, group_sparsity
from tests.cases import head_with, reordered_heads

# Class 0 has four prototypes, class 1 a single one.
TABLE = PrototypeTable([0, 0, 1, 0, 0], [0] * 5, num_classes=2, num_scales=1)


def head_of(rows: list[list[float]]) -> SparseGroupHead:
    return head_with(TABLE, rows, torch.float64)


def test_by_hand() -> None:
    result = group_sparsity(
        head_of([[0.25, 0.25, 0, 0.25, 0.25], [0.04, 0.72, 0, 0.24, 0], [0, 0, 1, 0, 0],
                 [0, 0, 0.01, 0, 0]])
    )  # fmt: skip
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    nan = math.nan
    assert result.nonzero.tolist() == [4, 2, 1, 0]
    for measured, expected in [
        # Shares 0, 0, 1/4, 3/4: 1 - 2 (1/4 * 1.5 + 3/4 * 0.5) / 4 = 5/8.
        (result.gini, [0, 5 / 8, 0, nan]),
        # With a single prototype the entropy is 0 / 0.
        (result.entropy, [1, entropy / math.log(4), nan, nan]),
        (result.effective_number, [4, math.exp(entropy), 1, nan]),
    ]:
        torch.testing.assert_close(measured, torch.tensor(expected).double(), equal_nan=True)


@given(reordered_heads())
def test_the_order_of_prototypes_does_not_matter(
    heads: tuple[SparseGroupHead, Tensor, SparseGroupHead],
) -> None:
    head, _, other = heads
    for one, another in zip(group_sparsity(head), group_sparsity(other), strict=True):
        torch.testing.assert_close(one, another, equal_nan=True)


def test_the_threshold_is_kept() -> None:
    rows = [[0.05, 0.0499, 0, 0.3, 0.3], [0, 0.5, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]]
    assert group_sparsity(head_of(rows)).nonzero.tolist() == [3, 1, 1, 1]
    assert group_sparsity(head_of(rows), threshold=0.4).nonzero.tolist() == [0, 1, 1, 1]


def test_the_metric_averages_over_groups_that_have_weight() -> None:
    rows = [[0.5, 0.5, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    metric = GroupSparsity()
    metric.update(head_of(rows))
    values = metric.values()
    assert values["effective_number"] == pytest.approx(4 / 3)
    assert values["nonzero"] == 1
    assert float(metric.compute()) == pytest.approx(4 / 3)


def test_stage_1_has_no_groups() -> None:
    with pytest.raises(ValueError, match=r"PrototypeHead, which has no groups.*model\.group"):
        group_sparsity(PrototypeHead(TABLE))


def test_nothing_measured_is_an_error() -> None:
    metric = GroupSparsity()
    with pytest.warns(UserWarning, match="before"), pytest.raises(ValueError, match="call update"):
        metric.compute()
    metric.update(SparseGroupHead(TABLE))
    metric.compute()
    metric.reset()
    with pytest.warns(UserWarning, match="before"), pytest.raises(ValueError, match="call update"):
        metric.compute()


def test_forward_measures_too() -> None:
    metric = GroupSparsity()
    head = head_of([[1, 0, 0, 0, 0]] * 2 + [[0, 0, 1, 0, 0]] * 2)
    assert float(metric(head)) == 1
    assert float(metric.compute()) == 1
