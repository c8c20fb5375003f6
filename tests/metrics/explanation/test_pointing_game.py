import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import PointingGame, pointing_game

MASK = torch.tensor([[[True, True], [False, False]]])


def test_by_hand() -> None:
    inside, outside = torch.tensor([[[9.0, 1.0], [0.0, 0.0]]]), torch.tensor([[[0.0, 1.0], [2, 0]]])
    tied = torch.tensor([[[3.0, 1.0], [3.0, 3.0]]])
    assert pointing_game(inside, MASK) == 1
    assert pointing_game(outside, MASK) == 0
    assert pointing_game(tied, MASK) == pytest.approx(1 / 3)
    # Values are signed: the least negative one is the maximum.
    assert pointing_game(-inside - 1, MASK) == 0


def test_an_empty_mask_and_a_constant_map_are_undefined() -> None:
    attribution = torch.rand(4, 2, 2)
    attribution[1] = 0
    attribution[2, 0, 0] = torch.nan
    attribution[3] = 5
    masks = torch.cat([torch.zeros_like(MASK), MASK, MASK, MASK])
    assert pointing_game(attribution, masks).isnan().all()


@given(factor=st.floats(0.1, 10), seed=st.integers(0, 2**31))
def test_neither_factor_nor_flip_matters(factor: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    attribution = torch.randn(2, 3, 4, generator=generator)
    mask = torch.rand(2, 3, 4, generator=generator) > 0.5
    torch.testing.assert_close(
        pointing_game(factor * attribution.flip(1), mask.flip(1)),
        pointing_game(attribution, mask),
        equal_nan=True,
    )


def test_the_metric_averages_over_images() -> None:
    attribution = torch.tensor([[[1.0, 0.0], [3.0, 0.0]], [[4.0, 0.0], [0.0, 0.0]]])
    metric = PointingGame()
    metric.update(attribution, MASK.expand(2, -1, -1))
    assert float(metric.compute()) == 0.5
    assert metric.higher_is_better is True
