import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import Sparseness, gini, sparseness
from tests.metrics.concentration import measured


def test_a_single_pixel_is_the_sparsest_map() -> None:
    single = torch.zeros(1, 3, 4)
    single[0, 1, 2] = -5
    spread = torch.ones(1, 3, 4)
    assert sparseness(torch.cat([single, spread])).tolist() == pytest.approx([1 - 1 / 12, 0])
    assert measured(Sparseness(), single) == pytest.approx(1 - 1 / 12)
    assert measured(Sparseness(), spread) == 0
    assert Sparseness.higher_is_better is None


def test_it_is_the_gini_index_of_the_pixels() -> None:
    maps = torch.randn(3, 4, 5)
    assert torch.equal(sparseness(maps), gini(maps.flatten(1)))
    with pytest.raises(ValueError, match=r"attribution: got shape \(4, 5\)"):
        sparseness(maps[0])


def test_a_map_of_zeros_is_undefined() -> None:
    metric = Sparseness()
    metric.update(torch.zeros(2, 3, 3))
    assert metric.compute().undefined == 2


@given(st.floats(0.01, 100), st.integers(0, 2**31))
def test_neither_factor_nor_flip_matters(factor: float, seed: int) -> None:
    maps = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed)).double()
    first, second = measured(Sparseness(), maps), measured(Sparseness(), factor * maps.flip(2))
    assert abs(first - second) < 1e-9
