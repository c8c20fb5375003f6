"""Metrics against figures of Quantus 0.6, another implementation, for the same maps and model."""

import math

import pytest
import torch
from torch import Tensor

from protoxai.metrics import (
    complexity,
    gini,
    max_sensitivity,
    perturbation_curves,
    pointing_game,
    relevance_mass,
    spearman,
)

HEIGHT, WIDTH = 5, 6
PIXELS = HEIGHT * WIDTH
NUMBERS = torch.arange(2 * PIXELS, dtype=torch.float64).view(2, HEIGHT, WIDTH)
MAPS = (1.7 * NUMBERS + 0.3).sin()
IMAGES = (0.9 * NUMBERS + 0.1).cos()[:, None]
MASKS = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.bool)
MASKS[0, 1:4, 0:3] = True
MASKS[1, 2:, 3:] = True


def figures(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def assert_figures(measured: Tensor, *values: float) -> None:
    torch.testing.assert_close(measured.double(), figures(*values), rtol=1e-6, atol=1e-9)


def test_sparseness_and_complexity() -> None:
    assert_figures(gini(MAPS.flatten(1)), 0.2595558473412193, 0.2910015368191574)
    assert_figures(complexity(MAPS.flatten(1)), 3.2685696628864394, 3.238658425713633)


def test_pointing_game_and_relevance_mass() -> None:
    assert_figures(pointing_game(MAPS, MASKS), 0, 0)
    assert_figures(pointing_game(-MAPS, MASKS), 0, 1)
    # There the mask's share of the image is not subtracted.
    mass = relevance_mass(MAPS, MASKS) + MASKS.double().mean((1, 2))
    assert_figures(mass, 0.3280069747227101, 0.27379762963634496)


def test_rank_correlation() -> None:
    values = [spearman(MAPS[i].flatten(), IMAGES[i].flatten()) for i in range(2)]
    assert_figures(torch.stack(values), 0.0424916573971079, 0.035817575083426034)


def test_pixel_flipping(monkeypatch: pytest.MonkeyPatch) -> None:
    # Three pixels at a time become 0.25; the score is the softmax of the second of two classes.
    monkeypatch.setattr(
        "protoxai.metrics.explanation.imputation.gaussian_blur",
        lambda images, sigma: torch.full_like(images, 0.25),
    )
    weight = torch.linspace(-1, 2, PIXELS, dtype=torch.float64)

    def score(images: Tensor) -> Tensor:
        return (images.flatten(1) @ weight).sigmoid()

    curves = [
        perturbation_curves(score, IMAGES[i], MAPS[i], steps=10, fill="blur")[0, 1:]
        for i in range(2)
    ]
    first = (
        0.9436667704425249, 0.9249432507284602, 0.8928046947006778, 0.9614653138465539,
        0.9432808861435376, 0.9889251351540205, 0.9918851495609419, 0.8930886659010024,
        0.9466997430711511, 0.9770226300899744,
    )  # fmt: skip
    second = (
        0.5652156578024354, 0.2167036585822503, 0.8358431944352711, 0.5459994378669517,
        0.8674732144847638, 0.9376634294059917, 0.8763094463377652, 0.936723382688081,
        0.8953511780854014, 0.9770226300899744,
    )  # fmt: skip
    assert_figures(curves[0], *first)
    assert_figures(curves[1], *second)


def test_max_sensitivity(monkeypatch: pytest.MonkeyPatch) -> None:
    def waves(seed: int, radius: float):
        """Return four changes that can be written down."""

        def change(images: Tensor) -> Tensor:
            phases = 3 * torch.arange(1, len(images) + 1)[:, None]
            wave = (phases + 1.1 * torch.arange(PIXELS)).cos().view_as(images)
            return images + radius * wave

        return change

    monkeypatch.setattr("protoxai.metrics.explanation.max_sensitivity._change", waves)
    values = max_sensitivity(lambda images: (images**3 - 2 * images)[:, 0], IMAGES, samples=4)
    assert_figures(values, 0.019010869598178545, 0.01922903845626866)


def test_the_maps_are_those_given_to_quantus() -> None:
    assert float(MAPS[1, 0, 0]) == pytest.approx(math.sin(1.7 * 30 + 0.3))
    assert float(IMAGES[0, 0, 1, 0]) == pytest.approx(math.cos(0.9 * 6 + 0.1))
