import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import PointingGame, RelevanceMass, pointing_game, relevance_mass

MASK = torch.tensor([[[True, True], [False, False]]])


def test_pointing_by_hand() -> None:
    inside, outside = torch.tensor([[[9.0, 1.0], [0.0, 0.0]]]), torch.tensor([[[0.0, 1.0], [2, 0]]])
    tied = torch.tensor([[[3.0, 1.0], [3.0, 3.0]]])
    assert pointing_game(inside, MASK) == 1
    assert pointing_game(outside, MASK) == 0
    assert pointing_game(tied, MASK) == pytest.approx(1 / 3)
    # Signed: the least negative is the maximum.
    assert pointing_game(-inside - 1, MASK) == 0


def test_mass_by_hand() -> None:
    attribution = torch.tensor([[[3.0, -9.0], [1.0, -1.0]]])
    assert relevance_mass(attribution, MASK) == 0.75
    assert relevance_mass(attribution, ~MASK) == 0.25
    assert relevance_mass(attribution, torch.ones_like(MASK)) == 1


@pytest.mark.parametrize("measure", [pointing_game, relevance_mass])
def test_an_empty_mask_and_no_attribution_are_undefined(measure) -> None:
    attribution = torch.rand(3, 2, 2)
    attribution[1] = 0
    attribution[2, 0, 0] = torch.nan
    masks = torch.stack([torch.zeros_like(MASK[0]), MASK[0], MASK[0]])
    assert measure(attribution, masks).isnan().all()


def test_what_else_is_undefined() -> None:
    assert pointing_game(torch.full((1, 2, 2), 5.0), MASK).isnan()
    assert relevance_mass(-torch.rand(1, 2, 2), MASK).isnan()
    assert relevance_mass(torch.ones(1, 2, 2), MASK) == 0.5


@pytest.mark.parametrize("measure", [pointing_game, relevance_mass])
@given(factor=st.floats(0.1, 10), seed=st.integers(0, 2**31))
def test_neither_factor_nor_flip_matters(measure, factor: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    attribution = torch.randn(2, 3, 4, generator=generator)
    mask = torch.rand(2, 3, 4, generator=generator) > 0.5
    torch.testing.assert_close(
        measure(factor * attribution.flip(1), mask.flip(1)),
        measure(attribution, mask),
        equal_nan=True,
    )


def test_metrics_average_over_images() -> None:
    attribution = torch.tensor([[[1.0, 0.0], [3.0, 0.0]], [[4.0, 0.0], [0.0, 0.0]]])
    for metric, expected in ((PointingGame(), 0.5), (RelevanceMass(), (1 / 4 + 1) / 2)):
        metric.update(attribution, MASK.expand(2, -1, -1))
        assert float(metric.compute()) == expected
        assert metric.higher_is_better is True
