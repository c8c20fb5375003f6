import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import RelevanceMass, relevance_mass

MASK = torch.tensor([[[True, True], [False, False]]])


def test_by_hand() -> None:
    attribution = torch.tensor([[[3.0, -9.0], [1.0, -1.0]]])
    # Shares of 3/4, 1/4 and 1, on 1/2, 1/2 and all of the image.
    assert relevance_mass(attribution, MASK) == 0.25
    assert relevance_mass(attribution, ~MASK) == -0.25
    assert relevance_mass(attribution, torch.ones_like(MASK)) == 0
    corner = torch.tensor([[[True, False], [False, False]]])
    assert relevance_mass(attribution, corner) == 0.5


@given(st.integers(0, 2**31))
def test_agrees_with_loops_and_chance_has_nothing(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    attribution = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    mask = torch.rand(2, 3, 4, generator=generator) > 0.5
    mask[:, 0, 0] = True
    for own, pixels, value in zip(
        attribution, mask, relevance_mass(attribution, mask), strict=True
    ):
        inside = total = area = 0.0
        for i in range(3):
            for j in range(4):
                total += max(0.0, float(own[i, j]))
                inside += max(0.0, float(own[i, j])) * bool(pixels[i, j])
                area += bool(pixels[i, j]) / 12
        assert float(value) == pytest.approx(inside / total - area)
    constant = relevance_mass(torch.ones(2, 3, 4), mask)
    torch.testing.assert_close(constant, torch.zeros(2))


def test_an_empty_mask_and_no_positive_attribution_are_undefined() -> None:
    attribution = torch.rand(4, 2, 2)
    attribution[1] = 0
    attribution[2, 0, 0] = torch.nan
    attribution[3] *= -1
    masks = torch.cat([torch.zeros_like(MASK), MASK, MASK, MASK])
    assert relevance_mass(attribution, masks).isnan().all()


@given(factor=st.floats(0.1, 10), seed=st.integers(0, 2**31))
def test_neither_factor_nor_flip_matters(factor: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    attribution = torch.randn(2, 3, 4, generator=generator)
    mask = torch.rand(2, 3, 4, generator=generator) > 0.5
    torch.testing.assert_close(
        relevance_mass(factor * attribution.flip(1), mask.flip(1)),
        relevance_mass(attribution, mask),
        equal_nan=True,
    )


def test_the_metric_averages_over_images() -> None:
    attribution = torch.tensor([[[1.0, 0.0], [3.0, 0.0]], [[4.0, 0.0], [0.0, 0.0]]])
    metric = RelevanceMass()
    metric.update(attribution, MASK.expand(2, -1, -1))
    assert float(metric.compute()) == (1 / 4 + 1) / 2 - 1 / 2
    assert metric.higher_is_better is True


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"mask has shape \(1, 1, 1\).*resize the attribution"):
        relevance_mass(torch.rand(1, 2, 2), MASK[:, :1, :1])
