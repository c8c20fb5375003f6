import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import Complexity, Sparseness


def measured(metric: Sparseness | Complexity, maps: torch.Tensor) -> float:
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
    for metric in (Sparseness(), Complexity()):
        metric.update(torch.zeros(2, 3, 3))
        assert metric.compute().undefined == 2


@given(st.floats(0.01, 100), st.integers(0, 2**31))
def test_neither_factor_nor_flip_matters(factor: float, seed: int) -> None:
    maps = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed)).double()
    for kind in (Sparseness, Complexity):
        first, second = measured(kind(), maps), measured(kind(), factor * maps.flip(2))
        assert abs(first - second) < 1e-9
