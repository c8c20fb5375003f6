"""How far prototypes see, on a few examples of a report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from protoxai.explanations.figures.marks import bounding_box
from protoxai.explanations.figures.pictures import brightened, rgb
from protoxai.explanations.figures.receptive_field import map_colours
from protoxai.explanations.local import explain
from protoxai.explanations.receptive_fields import ReceptiveField, receptive_field
from protoxai.explanations.regions import RegionExplanation
from protoxai.explanations.report.encoding import encode_picture
from protoxai.model.scaleprotoseg import ScaleProtoSeg

MOST = 6
"""Number of examples."""
SAMPLES = 5
"""Number of noisy images behind each map."""


@dataclass(frozen=True)
class SightExample:
    """A prototype in an image: what is shown of it, and what it depends on.

    Attributes:
        prototype: Index of the prototype.
        class_name: Name of its class.
        image: Data URI of the image with the shown region in a frame.
        map: Data URI of the map of what the activation depends on, with the same frame.
        kept: Share of the activation that is left if only the region is kept, in words.
        inside: Share of the map that is in the region, in words.
    """

    prototype: int
    class_name: str
    image: str
    map: str
    kept: str
    inside: str


@dataclass(frozen=True)
class Sight:
    """How far prototypes see.

    Attributes:
        summary: What the examples show on average, in words.
        examples: The examples.
    """

    summary: str
    examples: list[SightExample]


def measured_sight(model: ScaleProtoSeg, images: Iterable[Tensor]) -> Sight | None:
    """Measure how far the strongest prototypes of a few images see.

    Args:
        model: The model.
        images: Normalised images (3, H, W); of each, the largest region whose strongest prototype
            has not been measured yet counts.

    Returns:
        The examples; None if no prototype is active.
    """
    measured: dict[int, tuple[str, ReceptiveField]] = {}
    for image in images:
        if len(measured) == MOST:
            break
        for region in explain(model, image).regions:
            prototype = _strongest(region)
            if prototype is not None and prototype not in measured:
                field = receptive_field(model, image, prototype, samples=SAMPLES)
                if not math.isnan(field.kept):
                    measured[prototype] = region.class_name, field
                    break
    if not measured:
        return None
    shares = [field.kept for _, field in measured.values()]
    mean, low, high = sum(shares) / len(shares), min(shares), max(shares)
    between = f", from {low:.0%} to {high:.0%}" if len(shares) > 1 else ""
    summary = (
        f"If only what the frame shows is kept and the rest is filled in from it, {mean:.0%} of "
        f"the activation survives{' on average' * bool(between)}{between}."
    )
    return Sight(summary, [_example(name, field) for name, field in measured.values()])


def _strongest(region: RegionExplanation) -> int | None:
    """Return the prototype with the most evidence for a region's class."""
    totals: dict[int, float] = {}
    for group in region.groups:
        for member in group.prototypes:
            totals[member.prototype] = totals.get(member.prototype, 0.0) + member.evidence
    return max(totals, key=totals.__getitem__, default=None)


def _example(class_name: str, field: ReceptiveField) -> SightExample:
    image, seen = brightened(rgb(field.image)), map_colours(field)
    return SightExample(
        field.prototype,
        class_name,
        encode_picture(framed(image, field)),
        encode_picture(framed(seen, field)),
        f"{field.kept:.0%}",
        f"{field.inside:.0%}",
    )


def framed(pixels: NDArray[np.float64], field: ReceptiveField) -> NDArray[np.uint8]:
    """Draw a white frame with black edges around the region of a receptive field.

    Args:
        pixels: RGB picture (H, W, 3), in [0, 1].
        field: Receptive field, whose region is shown.

    Returns:
        The picture with the frame, uint8.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    top, left, bottom, right = bounding_box(field.region)
    draw = ImageDraw.Draw(picture)
    for margin, colour in ((2, "black"), (1, "white"), (0, "black")):
        corners = (left - margin, top - margin, right - 1 + margin, bottom - 1 + margin)
        draw.rectangle(corners, outline=colour)
    return np.asarray(picture)
