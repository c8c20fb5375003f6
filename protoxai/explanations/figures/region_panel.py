"""A region in a figure: its outline, its score, and the prototypes that decided it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from protoxai.explanations.explanation import Explanation
from protoxai.explanations.figures.marks import (
    direction,
    draw_cutout,
    frame,
    group_words,
    hex_of,
    outline,
    signed,
    unsigned,
    versus,
)
from protoxai.explanations.figures.pictures import (
    Pixels,
    faded,
    image_cutout,
    prototype_cutout,
)
from protoxai.explanations.figures.reasons import Contribution, Reasons, reasons
from protoxai.explanations.regions import RegionExplanation
from protoxai.prototypes.prototype import Prototype
from protoxai.prototypes.provenance import Box
from protoxai.runtime.figure_text import text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from protoxai.runtime.figure_sheet import Cell, Sheet

GAP, PAIR = 0.16, 0.04
"""Inches between prototypes, and between the two pictures of one."""
LEAST = 1.3
"""Least width of a prototype's two pictures in inches, by which they are put into rows."""
LABEL = 0.11
"""Side of a number's label in inches."""
SHIFTS = sorted(product(range(-12, 13), repeat=2), key=lambda shift: shift[0] ** 2 + shift[1] ** 2)
"""Places for a label that would cover another, the nearest first, in sides of a label."""
GREY_LINE = "#dfe2e5"


class Place(NamedTuple):
    """Where a prototype is drawn.

    Attributes:
        number: Its number in the region's image.
        left: Left end in inches.
        top: Top in inches.
        width: Width of both pictures in inches.
    """

    number: int
    left: float
    top: float
    width: float


def draw_region(
    sheet: Sheet,
    top: float,
    explanation: Explanation,
    region: RegionExplanation,
    colour: Pixels,
    count: int,
) -> float:
    """Draw a region and its reasons, and return where the next one begins, in inches.

    Args:
        sheet: Sheet to draw on.
        top: Where the region begins, in inches.
        explanation: Explanation of the image.
        region: The region.
        colour: Colour of its class.
        count: Number of prototypes to show.
    """
    why = reasons(explanation, region)
    shown = why.contributions[:count]
    boxes = [explanation.box(part.prototype, region.region) for part in shown]
    sheet.rectangle((0, top - 0.07, sheet.width, 0.006), GREY_LINE)
    cell = max(0.2 * sheet.width, 0.9)
    below = _draw_outlined(sheet, (0, top, cell, 1.6), explanation, region, colour, boxes)
    left = cell + GAP
    begin = _draw_title(sheet, left, top, region.class_name, why)
    begin = sheet.paragraph(left, begin, why.terms(len(shown)), sheet.width - left) + 0.05
    columns = max(1, min(count, int((sheet.width - left + GAP) / (LEAST + GAP))))
    width = (sheet.width - left - GAP * (columns - 1)) / columns
    end = begin
    for position, (part, box) in enumerate(zip(shown, boxes, strict=True)):
        row_begins = position % columns == 0
        begin = end + (0.12 if row_begins and position else 0) if row_begins else begin
        place = Place(position + 1, left + position % columns * (width + GAP), begin, width)
        prototype = explanation.prototypes[part.prototype]
        _draw_pair(sheet, place, explanation, prototype, box)
        end = _draw_caption(sheet, place, prototype, part, region.class_index)
    return max(below, end) + 0.22


def _draw_outlined(
    sheet: Sheet,
    cell: Cell,
    explanation: Explanation,
    region: RegionExplanation,
    colour: Pixels,
    boxes: Sequence[Box],
) -> float:
    """Draw the image with the region outlined and boxes numbered, and its score below."""
    from protoxai.runtime.figure_sheet import GREY, NOTE, TITLE

    left, top, width, height = cell
    sheet.rectangle((left, top + 0.025, 0.1, 0.1), hex_of(colour), "#808080")
    name = left + 0.16
    line = sheet.text(name, top, region.class_name, size=TITLE, bold=True, width=width - 0.16)
    pixels = faded(explanation.image, region.region)
    axes, taken = sheet.picture(pixels, (left, line + 0.03, width, height))
    outline(axes, region.region, hex_of(colour))
    _number(axes, boxes, region.region.shape[1] / taken[2])
    line += 0.03 + taken[3] + 0.04
    own = sum(group.evidence for group in region.groups)
    share = f"{float(region.region.double().mean()):.0%} of the image"
    line = sheet.text(left, line, share, size=NOTE, colour=GREY, width=width)
    score = (
        f"score {unsigned(region.logit)} = {unsigned(region.baseline)} base "
        f"{signed(own)} own {signed(region.other_evidence)} others"
    )
    return sheet.paragraph(left, line, score, width)


def _draw_title(sheet: Sheet, left: float, top: float, name: str, why: Reasons) -> float:
    """Write what the sum is, with both names cut so that the sum is always seen."""
    from protoxai.runtime.figure_sheet import TITLE

    value, width = f": {signed(why.total)}", sheet.width - left
    title = versus(name, why.other, width - text_width(value, TITLE, bold=True), TITLE) + value
    return sheet.text(left, top, title, size=TITLE, bold=True) + 0.01


def _draw_pair(
    sheet: Sheet, place: Place, explanation: Explanation, prototype: Prototype, box: Box
) -> None:
    """Draw a prototype's patch, and beside it where the prototype is most active in the image."""
    side = (place.width - PAIR) / 2
    patch = prototype_cutout(prototype)
    end = draw_cutout(sheet, patch, (place.left, place.top, side, side))
    evidence = explanation.evidence_map(prototype.index, prototype.class_index)
    here = image_cutout(explanation.image, box, evidence)
    draw_cutout(sheet, here, (end + PAIR, place.top, side, side))


def _draw_caption(
    sheet: Sheet, place: Place, prototype: Prototype, part: Contribution, class_index: int
) -> float:
    """Write a prototype's contribution, name, scale and groups, and return where they end."""
    from protoxai.runtime.figure_sheet import GREY, NOTE

    left, width = place.left, place.width
    line = place.top + (width - PAIR) / 2 + 0.05
    sheet.text(left, line, str(place.number), bold=True)
    colour, value, indent = direction(part.value), signed(part.value), 0.16
    line = sheet.text(left + indent, line, value, bold=True, colour=colour, width=width - indent)
    name = f"prototype {prototype.index}"
    if prototype.class_index != class_index:
        name += f" of {prototype.class_name}"
    line = sheet.text(left, line, name, size=NOTE, width=width)
    return sheet.text(left, line, group_words(prototype), size=NOTE, colour=GREY, width=width)


def _number(axes: Axes, boxes: Sequence[Box], pixels_per_inch: float) -> None:
    """Frame boxes in the region's image, and number them without overlap."""
    side = LABEL * pixels_per_inch
    taken: list[tuple[float, float]] = []
    for position, box in enumerate(boxes):
        frame(axes, box, width=0.7)
        x, y = (box[1] + box[3]) / 2, (box[0] + box[2]) / 2
        place = next(
            (x + dx * side, y + dy * side)
            for dx, dy in SHIFTS
            if all(max(abs(x + dx * side - u), abs(y + dy * side - v)) >= side for u, v in taken)
        )
        taken.append(place)
        axes.text(
            *place, str(position + 1), fontsize=6, fontweight="bold", ha="center", va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.9},
        )  # fmt: skip
