"""Part detectors of known quality on synthetic shapes, where every pixel's part is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from protoxai import PrototypeTable
from protoxai.data import Shapes
from protoxai.metrics import Estimate, PartConsistency, PartStability, PrototypePurity, estimate
from protoxai.metrics.explanation.blur import gaussian_blur

IMAGES, SIZE = 40, 64
SHAPES = Shapes(size=SIZE, length=IMAGES, split="val")
COMPACT = (
    *("wheel hub", "flower core", "sign bar", "house roof", "house door", "house window"),
    *("tree trunk", "fish tail", "fish body", "fish eye", "ladder rungs", "key shaft"),
)
"""Parts that contain their centroid: one that does not, such as a tyre, is never hit."""
NUMBERS = torch.tensor([SHAPES.part_names.index(name) for name in COMPACT])
TABLE = PrototypeTable(torch.tensor(SHAPES.part_class)[NUMBERS], [0] * len(NUMBERS), 9, 1)
"""A prototype for each of these parts."""

PERFECT, REAL = "detector", "noisy detector"
NULL = ("Gaussian noise", "constant", "maps of other images", "mirrored detector")
Detector = Callable[[Tensor], Tensor]
"""Function of noise that returns activations (B, P, H, W) of a prototype for each part."""


def pictures() -> tuple[Tensor, Tensor]:
    """Return the labels and the parts of the pictures, (B, H, W) each."""
    samples = [SHAPES.raw(index) for index in range(IMAGES)]
    labels, parts = (
        torch.stack([getattr(s, name) for s in samples]) for name in ("labels", "parts")
    )
    return labels, parts


def detectors(parts: Tensor) -> dict[str, Detector]:
    """Return detectors by name, the better ones first.

    Args:
        parts: Parts of the pictures, (B, H, W).
    """
    truth = gaussian_blur((parts[:, None] == NUMBERS[:, None, None]).float(), 1.5)
    null: tuple[Detector, ...] = (
        lambda noise: noise,
        torch.ones_like,
        lambda _: truth.roll(1, 0),
        lambda _: truth.flip(2, 3),
    )
    return {
        PERFECT: lambda _: truth,
        REAL: lambda noise: truth + 0.05 * noise,
        **dict(zip(NULL, null, strict=True)),
    }


def draw(seed: int = 0) -> Tensor:
    """Return noise for the detectors, (B, P, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(IMAGES, len(TABLE), SIZE, SIZE, generator=generator)


def figures(detector: Detector, labels: Tensor, parts: Tensor) -> dict[str, Estimate]:
    """Return the figures of prototypes that have a direction, for a detector.

    The interval of purity is over the prototypes, the others are over images.

    Args:
        detector: The detector.
        labels: Labels of the pictures, (B, H, W).
        parts: Parts of the pictures, (B, H, W).
    """
    activations = detector(draw())
    consistency = PartConsistency(TABLE, SHAPES.part_class)
    consistency.update(activations, labels, parts)
    stability = PartStability(TABLE, SHAPES.part_class)
    # The metric's noise reaches the detector unchanged, five times as strong.
    images = torch.zeros(IMAGES, len(TABLE), SIZE, SIZE)
    stability.update(lambda noise: detector(5 * noise), images, labels, parts)
    purity = PrototypePurity(TABLE, SHAPES.part_class)
    purity.update(activations, labels, parts)
    found = purity.per_prototype()
    return {
        "part_consistency": consistency.compute()["part_consistency"],
        "part_stability": stability.compute()["part_stability"],
        "prototype_purity": estimate(found.purity - found.frequency - found.chance),
    }


def measured() -> dict[str, dict[str, Estimate]]:
    """Return the figures of each detector."""
    labels, parts = pictures()
    return {name: figures(each, labels, parts) for name, each in detectors(parts).items()}


def failures(values: Mapping[str, Estimate]) -> list[str]:
    """Return why a figure does not put the detectors in their order; empty if it does.

    The detector may not be below the noisy one, whose interval has to lie above that of every null
    map.

    Args:
        values: The figure of each detector.
    """
    found = [f"the {PERFECT} is below the {REAL}"] * (values[PERFECT].mean < values[REAL].mean)
    above = [name for name in NULL if values[REAL].low > values[name].high]
    return found + [f"the {REAL} is not above {name}" for name in NULL if name not in above]
