import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import Complexity, EffectiveNumber, Gini, PerImageMetric, Sparseness


def measured(metric: PerImageMetric, maps: torch.Tensor) -> float:
    metric.update(maps)
    return float(metric.compute())


def test_a_single_pixel_is_the_sparsest_and_the_simplest_map() -> None:
    single = torch.zeros(1, 3, 4)
    single[0, 1, 2] = -5
    spread = torch.ones(1, 3, 4)
    assert measured(Sparseness(), single) == pytest.approx(1 - 1 / 12)
    assert measured(Sparseness(), spread) == 0
    assert measured(Complexity(), single) == 0
    assert abs(measured(Complexity(), spread) - torch.tensor(12.0).log()) < 1e-6
    assert Sparseness.higher_is_better is True
    assert Complexity.higher_is_better is False


def test_a_map_of_zeros_is_undefined() -> None:
    for metric in (Sparseness(), Complexity(), Gini(), EffectiveNumber()):
        metric.update(torch.zeros(2, 3, 3))
        assert metric.compute().undefined == 2


@given(st.floats(0.01, 100), st.integers(0, 2**31))
def test_neither_factor_nor_flip_matters(factor: float, seed: int) -> None:
    maps = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed)).double()
    for kind in (Sparseness, Complexity, Gini, EffectiveNumber):
        first, second = measured(kind(), maps), measured(kind(), factor * maps.flip(2))
        assert abs(first - second) < 1e-9


def test_values_of_any_shape_by_hand_and_at_both_ends() -> None:
    # Shares 3/4, 1/4 and 0, as in the functions' own test; then equal values, and a single one.
    for values, sparse, number in (
        ([[[3.0], [0.0], [-1.0]]], 0.5, 1.7547654),
        ([[1.0, -1.0, 1.0, 1.0]], 0, 4),
        ([[0.0, 0.0, 7.0, 0.0]], 0.75, 1),
    ):
        assert measured(Gini(), torch.tensor(values)) == pytest.approx(sparse)
        assert measured(EffectiveNumber(), torch.tensor(values)) == pytest.approx(number)
    assert Gini.higher_is_better is True
    assert EffectiveNumber.higher_is_better is False
