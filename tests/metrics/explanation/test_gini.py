import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import Gini, gini
from tests.metrics.concentration import LISTS, check_invariance, measured


def test_by_hand() -> None:
    # Ascending shares 0, 1/4, 3/4: 1 - 2 (0 * 2.5 + 1/4 * 1.5 + 3/4 * 0.5) / 3 = 1/2.
    assert gini(torch.tensor([3.0, 0.0, -1.0])) == pytest.approx(0.5)


def test_both_ends() -> None:
    assert gini(torch.ones(4)) == 0
    assert gini(torch.tensor([0.0, 0.0, 7.0, 0.0])) == 0.75


def test_nothing_but_zeros_is_undefined() -> None:
    values = torch.tensor([[0.0, 0.0], [1.0, 0.0], [torch.nan, 1.0]])
    assert gini(values).isnan().tolist() == [True, False, True]
    metric = Gini()
    metric.update(torch.zeros(2, 3, 3))
    assert metric.compute().undefined == 2


@given(values=LISTS, factor=st.floats(0.01, 100), data=st.data())
def test_neither_factor_nor_sign_nor_order_matters(values, factor, data) -> None:
    check_invariance(gini, values, factor, data)


@given(LISTS)
def test_gini_is_half_the_relative_mean_difference(values: list[float]) -> None:
    rows = torch.tensor(values, dtype=torch.float64).abs()
    differences = (rows[:, None] - rows).abs().mean()
    assert gini(rows) == pytest.approx(float(differences / (2 * rows.mean())), abs=1e-9)


def test_over_the_last_dimension_and_in_its_own_type() -> None:
    assert gini(torch.rand(2, 3, 5)).shape == (2, 3)
    assert gini(torch.rand(5).half()).dtype == torch.float32
    assert gini(torch.tensor([1, 3])).dtype == torch.float32
    assert gini(torch.rand(5).double()).dtype == torch.float64


def test_the_metric_takes_values_of_any_shape() -> None:
    for values, expected in (
        ([[[3.0], [0.0], [-1.0]]], 0.5),
        ([[1.0, -1.0, 1.0, 1.0]], 0),
        ([[0.0, 0.0, 7.0, 0.0]], 0.75),
    ):
        assert measured(Gini(), torch.tensor(values)) == pytest.approx(expected)
    assert Gini.higher_is_better is None
