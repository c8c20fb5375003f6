"""Figure of a contrast: what speaks for one class, and what for another."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protoxai.explanations.areas import Region
from protoxai.explanations.contrast import Contrast, PrototypeContrast
from protoxai.explanations.explanation import Explanation
from protoxai.explanations.figures.marks import (
    AGAINST,
    FOR,
    INCHES,
    direction,
    draw_cutout,
    group_words,
    outline,
    signed,
    unsigned,
    versus,
)
from protoxai.explanations.figures.pictures import faded, image_cutout, prototype_cutout
from protoxai.runtime.checks import Range, instance, number, whole
from protoxai.runtime.figure_text import text_width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from protoxai.runtime.figure_sheet import Sheet

SHOWN = Range(least=1, most=50)
PICTURE, GAP = 0.62, 0.08
NAMES = 0.27
"""Share of the width for the names of prototypes."""
BAR = 0.16
HOW_TO_READ = (
    "Each row: the training patch that a prototype is, where it is most active in the region, and "
    "how much it adds to the lead of the first class. Bars to the right speak for it, bars to the "
    "left for the other class. The base is the lead where no prototype is active. Frame: where the "
    "prototype is most active; the surroundings are greyed, and dark pictures are brightened."
)


class Columns(NamedTuple):
    """Horizontal places of a row's parts, in inches.

    Attributes:
        zero: Where bars begin.
        scale: Inches of a bar per unit.
    """

    zero: float
    scale: float


def contrast_figure(
    explanation: Explanation,
    this: int,
    other: int | None = None,
    region: Region | None = None,
    *,
    prototypes: int = 6,
    width: float = 7.0,
) -> Figure:
    """Draw why a region is one class and not another, prototype by prototype.

    The rows add up exactly to the difference of the two scores: the prototypes whose evidence
    differs most, all others together, and the base.

    Args:
        explanation: Explanation from :func:`~protoxai.explain`.
        this: The class in question.
        other: The class to compare it with; None for the one with the next highest score.
        region: Mask, bool (H, W), or box (top, left, bottom, right), ends exclusive; None for the
            pixels that are predicted as ``this``.
        prototypes: Number of prototypes to show.
        width: Width in inches: by default that of a page.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If a number is out of range, or the classes or the region do not fit the
            explanation.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg, explain
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> explanation = explain(model, torch.randn(3, 32, 40))
        >>> figure = contrast_figure(explanation, 0, 1, region=(0, 0, 16, 16))
    """
    instance("explanation", explanation, Explanation, "explain(model, image)")
    prototypes, width = whole("prototypes", prototypes, SHOWN), number("width", width, INCHES)
    contrast = explanation.contrast(this, other, region)
    from protoxai.runtime.figure_sheet import Sheet

    sheet = Sheet(width)
    shown = contrast.prototypes[:prototypes]
    rest = contrast.prototypes[prototypes:]
    values = [each.difference for each in shown]
    sums = [(f"{len(rest)} more", sum(each.difference for each in rest))] if rest else []
    sums.append(("base", contrast.baseline))
    top = _draw_head(sheet, explanation, contrast)
    columns = _columns(sheet, [*values, *(value for _, value in sums)])
    for each in shown:
        top = _draw_row(sheet, top, explanation, contrast, each, columns)
    for name, value in sums:
        left = 2 * (PICTURE + GAP)
        sheet.text(left, top + 0.02, name, width=NAMES * sheet.width)
        _draw_bar(sheet, top + 0.01, value, columns)
        top += 0.24
    top = sheet.paragraph(0, top + 0.08, HOW_TO_READ, sheet.width)
    return sheet.finish(top + 0.05)


def _draw_head(sheet: Sheet, explanation: Explanation, contrast: Contrast) -> float:
    """Draw the region and the two scores, and return where the rows begin."""
    from protoxai.runtime.figure_sheet import TEXT, TITLE

    cell = 2 * PICTURE + GAP
    pixels = faded(explanation.image, contrast.region)
    axes, taken = sheet.picture(pixels, (0, 0.02, cell, 1.4 * cell))
    outline(axes, contrast.region, "white")
    left = cell + 2 * GAP
    width = sheet.width - left
    title = versus(contrast.this_name, contrast.other_name, width, TITLE)
    line = sheet.text(left, 0.02, title, size=TITLE, bold=True) + 0.03
    share = float(contrast.region.double().mean())
    words = (
        f"Score {unsigned(contrast.this_logit)} against {unsigned(contrast.other_logit)}: "
        f"a lead of {signed(contrast.difference)} in the outlined region, {share:.1%} of the image."
    )
    line = sheet.paragraph(left, line, words, width, size=TEXT)
    return max(taken[1] + taken[3], line) + 0.2


def _columns(sheet: Sheet, values: list[float]) -> Columns:
    """Return where bars begin and how long they are, so that all values fit beside them."""
    from protoxai.runtime.figure_sheet import TEXT

    left = 2 * (PICTURE + GAP) + NAMES * sheet.width + GAP
    lowest, highest = min(0.0, *values), max(0.0, *values)
    label = max(text_width(signed(value), TEXT) for value in values) + 2 * GAP
    scale = max(sheet.width - left - label, 0.1) / max(highest - lowest, 1e-12)
    return Columns(left - lowest * scale, scale)


def _draw_row(
    sheet: Sheet,
    top: float,
    explanation: Explanation,
    contrast: Contrast,
    entry: PrototypeContrast,
    columns: Columns,
) -> float:
    """Draw a prototype and its bar, and return where the next row begins."""
    from protoxai.runtime.figure_sheet import GREY, NOTE

    prototype = explanation.prototypes[entry.prototype]
    draw_cutout(sheet, prototype_cutout(prototype), (0, top, PICTURE, PICTURE))
    box = explanation.box(entry.prototype, contrast.region)
    activity = explanation.evidence_map(entry.prototype, prototype.class_index)
    here = image_cutout(explanation.image, box, activity)
    draw_cutout(sheet, here, (PICTURE + GAP, top, PICTURE, PICTURE))
    left, names = 2 * (PICTURE + GAP), NAMES * sheet.width
    line = sheet.text(left, top + 0.02, f"prototype {prototype.index}", width=names)
    line = sheet.text(left, line, f"of {prototype.class_name}", size=NOTE, width=names)
    for words in group_words(prototype).split(", ", 1):
        line = sheet.text(left, line, words, size=NOTE, colour=GREY, width=names)
    _draw_bar(sheet, top + PICTURE / 2 - BAR / 2, entry.difference, columns)
    return top + PICTURE + GAP


def _draw_bar(sheet: Sheet, top: float, value: float, columns: Columns) -> None:
    length = abs(value) * columns.scale
    left = columns.zero - (length if value < 0 else 0)
    sheet.rectangle((left, top, length, BAR), FOR if value >= 0 else AGAINST)
    sheet.rectangle((columns.zero - 0.003, top - 0.06, 0.006, BAR + 0.12), "#8a8a8a")
    colour, right = direction(value), sheet.width
    sheet.text(right, top + 0.01, signed(value), colour=colour, align="right", width=right)
