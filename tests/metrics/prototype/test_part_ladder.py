"""Part detectors of known quality on synthetic shapes, where every pixel's part is known."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from protoxai import PrototypeTable
from protoxai.data import Shapes
from protoxai.metrics import (
    Estimate,
    PartConsistency,
    PartStability,
    pointing_game,
    relevance_mass,
)
from protoxai.metrics.explanation.blur import gaussian_blur

IMAGES = 40
SHAPES = Shapes(size=64, length=IMAGES, split="val")
COMPACT = (
    *("wheel hub", "flower core", "sign bar", "house roof", "house door", "house window"),
    *("tree trunk", "fish tail", "fish body", "fish eye", "ladder rungs", "key shaft"),
)
"""Parts that contain their centroid: one that does not, such as a tyre, is never hit."""
NUMBERS = torch.tensor([SHAPES.part_names.index(name) for name in COMPACT])
TABLE = PrototypeTable(torch.tensor(SHAPES.part_class)[NUMBERS], [0] * len(NUMBERS), 9, 1)
Ladder = dict[str, float]
Figures = dict[str, dict[str, Estimate]]


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
        "perfect": lambda noise: truth,
        "real": lambda noise: truth + 0.05 * noise,
        "mirrored": lambda noise: truth.flip(2, 3),
        "random": lambda noise: noise,
        "constant": lambda noise: torch.ones_like(noise),
    }


@pytest.fixture(scope="module")
def consistency(pictures: tuple[Tensor, Tensor]) -> Figures:
    labels, parts = pictures
    noise = torch.randn(IMAGES, len(TABLE), 64, 64, generator=torch.Generator().manual_seed(0))
    values = {}
    for name, detector in detectors(parts).items():
        metric = PartConsistency(TABLE, SHAPES.part_class)
        metric.update(detector(noise), labels, parts)
        values[name] = metric.compute()
    return values


@pytest.fixture(scope="module")
def stability(pictures: tuple[Tensor, Tensor]) -> Figures:
    """The metric's noise reaches the detectors unchanged, five times as strong."""
    labels, parts = pictures
    values = {}
    for name, detector in detectors(parts).items():
        metric = PartStability(TABLE, SHAPES.part_class)
        images = torch.zeros(IMAGES, len(TABLE), 64, 64)
        metric.update(lambda x, d=detector: d(5 * x), images, labels, parts)
        values[name] = metric.compute()
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


def test_consistency_ranks_detectors(consistency: Figures) -> None:
    score = {name: figures["part_consistency"] for name, figures in consistency.items()}
    assert float(score["perfect"]) >= 0.8
    assert float(score["perfect"]) >= float(score["real"]) > 0.5
    for name in ("random", "constant", "mirrored"):
        assert score[name].low <= 0 <= score[name].high < 0.2


def test_stability_ranks_detectors(stability: Figures) -> None:
    score = {name: figures["part_stability"] for name, figures in stability.items()}
    assert float(score["perfect"]) >= float(score["real"]) > float(score["random"]) + 0.2
    assert score["random"].low <= 0 <= score["random"].high


def test_maps_are_ranked_against_parts(on_parts: dict[str, Ladder]) -> None:
    for ladder in on_parts.values():
        assert ladder["perfect"] > ladder["real"] > 4 * max(ladder["random"], ladder["mirrored"])
    assert on_parts["pointing_game"]["perfect"] > 0.9
    assert math.isnan(on_parts["pointing_game"]["constant"])
    # A constant map has nothing, as noise has.
    assert on_parts["relevance_mass"]["constant"] == pytest.approx(0, abs=1e-6)
    assert on_parts["relevance_mass"]["random"] == pytest.approx(0, abs=0.01)
