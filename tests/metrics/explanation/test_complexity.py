import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from protoxai.metrics import Complexity, complexity
from tests.metrics.concentration import LISTS, check_invariance, measured


def test_by_hand() -> None:
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert complexity(torch.tensor([3.0, 0.0, -1.0])) == pytest.approx(entropy)


def test_both_ends() -> None:
    assert complexity(torch.ones(4)) == pytest.approx(math.log(4))
    single = complexity(torch.tensor([0.0, 0.0, 7.0, 0.0]))
    assert single == 0
    assert math.copysign(1, single) == 1


def test_nothing_but_zeros_is_undefined() -> None:
    values = torch.tensor([[0.0, 0.0], [1.0, 0.0], [torch.nan, 1.0]])
    assert complexity(values).isnan().tolist() == [True, False, True]
    metric = Complexity()
    metric.update(torch.zeros(2, 3, 3))
    assert metric.compute().undefined == 2


@given(values=LISTS, factor=st.floats(0.01, 100), data=st.data())
def test_neither_factor_nor_sign_nor_order_matters(values, factor, data) -> None:
    check_invariance(complexity, values, factor, data)


@given(LISTS)
def test_entropy_agrees_with_scipy(values: list[float]) -> None:
    rows = torch.tensor(values, dtype=torch.float64)
    assert complexity(rows) == pytest.approx(stats.entropy(rows.abs().numpy()), abs=1e-9)


def test_over_the_last_dimension_and_in_its_own_type() -> None:
    assert complexity(torch.rand(2, 3, 5)).shape == (2, 3)
    assert complexity(torch.rand(5).half()).dtype == torch.float32
    assert complexity(torch.rand(5).double()).dtype == torch.float64


def test_a_single_pixel_is_the_simplest_map() -> None:
    single = torch.zeros(1, 3, 4)
    single[0, 1, 2] = -5
    assert measured(Complexity(), single) == 0
    assert measured(Complexity(), torch.ones(1, 3, 4)) == pytest.approx(math.log(12), abs=1e-6)
    assert Complexity.higher_is_better is None


@given(st.floats(0.01, 100), st.integers(0, 2**31))
def test_neither_factor_nor_flip_of_a_map_matters(factor: float, seed: int) -> None:
    maps = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed)).double()
    first, second = measured(Complexity(), maps), measured(Complexity(), factor * maps.flip(2))
    assert abs(first - second) < 1e-9
