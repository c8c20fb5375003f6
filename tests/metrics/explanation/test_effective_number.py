import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import EffectiveNumber, effective_number
from tests.metrics.concentration import LISTS, check_invariance, measured


def test_by_hand() -> None:
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert effective_number(torch.tensor([3.0, 0.0, -1.0])) == pytest.approx(math.exp(entropy))


def test_both_ends() -> None:
    assert effective_number(torch.ones(4)) == pytest.approx(4)
    assert effective_number(torch.tensor([0.0, 0.0, 7.0, 0.0])) == 1


def test_nothing_but_zeros_is_undefined() -> None:
    values = torch.tensor([[0.0, 0.0], [1.0, 0.0], [torch.nan, 1.0]])
    assert effective_number(values).isnan().tolist() == [True, False, True]
    metric = EffectiveNumber()
    metric.update(torch.zeros(2, 3, 3))
    assert metric.compute().undefined == 2


@given(values=LISTS, factor=st.floats(0.01, 100), data=st.data())
def test_neither_factor_nor_sign_nor_order_matters(values, factor, data) -> None:
    check_invariance(effective_number, values, factor, data)


def test_over_the_last_dimension_and_in_its_own_type() -> None:
    assert effective_number(torch.rand(2, 3, 5)).shape == (2, 3)
    assert effective_number(torch.tensor([1, 3])).dtype == torch.float32
    assert effective_number(torch.rand(5).double()).dtype == torch.float64


def test_the_metric_takes_values_of_any_shape() -> None:
    for values, expected in (
        ([[[3.0], [0.0], [-1.0]]], 1.7547654),
        ([[1.0, -1.0, 1.0, 1.0]], 4),
        ([[0.0, 0.0, 7.0, 0.0]], 1),
    ):
        assert measured(EffectiveNumber(), torch.tensor(values)) == pytest.approx(expected)
    assert EffectiveNumber.higher_is_better is None
