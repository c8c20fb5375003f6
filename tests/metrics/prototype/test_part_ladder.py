"""Part detectors of known quality on synthetic shapes, where every pixel's part is known."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from protoxai import PrototypeTable
from protoxai.data import Shapes
from protoxai.metrics import PartConsistency, PartStability, pointing_game, relevance_mass
from protoxai.metrics.explanation.blur import gaussian_blur

IMAGES = 24
SHAPES = Shapes(size=64, length=IMAGES, split="val")
NUMBERS = torch.arange(1, len(SHAPES.part_class))
TABLE = PrototypeTable(torch.tensor(SHAPES.part_class)[1:], [0] * len(NUMBERS), 9, 1)
TIES = 1e-3
"""Noise that breaks the ties of a map that is 0 all over its class, which would all be kept."""

Ladder = dict[str, float]


@pytest.fixture(scope="module")
def pictures() -> tuple[Tensor, Tensor]:
    """Labels and parts, (B, H, W) each."""
    samples = [SHAPES.raw(index) for index in range(IMAGES)]
    labels, parts = (
        torch.stack([getattr(s, name) for s in samples]) for name in ("labels", "parts")
    )
    return labels, parts


def detectors(parts: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """Functions of noise that return activations (B, P, H, W) of a prototype for each part."""
    truth = gaussian_blur((parts[:, None] == NUMBERS[:, None, None]).float(), 1.5)
    return {
        "perfect": lambda noise: truth + TIES * noise,
        "real": lambda noise: truth + 0.05 * noise,
        "mirrored": lambda noise: truth.flip(2, 3) + TIES * noise,
        "random": lambda noise: noise,
        "constant": lambda noise: torch.ones_like(noise),
    }


@pytest.fixture(scope="module")
def consistency(pictures: tuple[Tensor, Tensor]) -> Ladder:
    labels, parts = pictures
    noise = torch.randn(IMAGES, len(TABLE), 64, 64, generator=torch.Generator().manual_seed(0))
    values = {}
    for name, detector in detectors(parts).items():
        metric = PartConsistency(TABLE, SHAPES.part_class)
        metric.update(detector(noise), labels, parts)
        values[name] = float(metric.compute())
    return values


@pytest.fixture(scope="module")
def stability(pictures: tuple[Tensor, Tensor]) -> Ladder:
    """The metric's noise reaches the detectors unchanged, five times as strong."""
    labels, parts = pictures
    values = {}
    for name, detector in detectors(parts).items():
        metric = PartStability(TABLE, SHAPES.part_class)
        images = torch.zeros(IMAGES, len(TABLE), 64, 64)
        metric.update(lambda x, d=detector: d(5 * x), images, labels, parts)
        values[name] = float(metric.compute())
    return values


@pytest.fixture(scope="module")
def on_parts(pictures: tuple[Tensor, Tensor]) -> dict[str, Ladder]:
    """Pointing game and relevance mass of each detector's map against the mask of its part."""
    _, parts = pictures
    noise = torch.randn(IMAGES, len(TABLE), 64, 64, generator=torch.Generator().manual_seed(0))
    masks = parts[:, None] == NUMBERS[:, None, None]
    shown = masks.flatten(2).any(2)
    return {
        measure.__name__: {
            name: float(measure(detector(noise)[shown], masks[shown]).nanmean())
            for name, detector in detectors(parts).items()
        }
        for measure in (pointing_game, relevance_mass)
    }


def test_consistency_ranks_detectors(consistency: Ladder) -> None:
    assert consistency["perfect"] >= consistency["real"] > 0.5
    # The centroids of rings such as tyres lie on other parts, so that the truth misses some.
    assert consistency["perfect"] < 1
    assert max(consistency["random"], consistency["mirrored"]) < 0.3


def test_stability_ranks_detectors(stability: Ladder) -> None:
    assert stability["perfect"] > stability["real"] > stability["random"] + 0.2
    assert stability["real"] > stability["mirrored"]
    assert stability["perfect"] > 0.95


def test_an_activation_that_is_the_same_everywhere_hits_every_part(
    consistency: Ladder, stability: Ladder
) -> None:
    # Neither metric can rank it, as the documentation says.
    assert consistency["constant"] == stability["constant"] == 1


def test_maps_are_ranked_against_parts(on_parts: dict[str, Ladder]) -> None:
    for ladder in on_parts.values():
        assert ladder["perfect"] > ladder["real"] > 4 * max(ladder["random"], ladder["mirrored"])
    assert on_parts["pointing_game"]["perfect"] > 0.9
    assert math.isnan(on_parts["pointing_game"]["constant"])
    # A constant map has the part's share of the image, as noise has.
    chance = on_parts["relevance_mass"]["random"]
    assert on_parts["relevance_mass"]["constant"] == pytest.approx(chance, rel=0.1)
