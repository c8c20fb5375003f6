"""Figures of a gallery: the prototypes of a class, and all classes at a glance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from protoxai.explanations.figures.marks import draw_cutout, group_words
from protoxai.explanations.figures.pictures import Cutout, prototype_cutout, spotlit
from protoxai.explanations.gallery.contents import ClassContents, Composition
from protoxai.explanations.gallery.neighbours import Neighbour, Neighbours, Purity
from protoxai.prototypes.prototype import Prototype

if TYPE_CHECKING:
    from protoxai.runtime.figure_sheet import Sheet

SCALE_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito's colours, which colour-blind people can tell apart."""
PICTURE, SMALL, GAP = 0.9, 0.5, 0.1
LINE = 1.35 / 72
HOW_TO_READ = (
    "A prototype is a patch of a training image: the frame, with its surroundings greyed and dark "
    "pictures brightened. Light: how active the prototype is. A group adds the activations of its "
    "prototypes by their weights."
)
OF_CLASSES = "Redundant: the share of the pairs of prototypes of one scale that are nearly equal."
OF_GROUPS = " Overlap: the share of their weight that a class's groups have on the same prototypes."
OF_NEIGHBOURS = (
    " Beside each prototype: the patches (framed) of the data that are nearest to it, each of "
    "another image. Purity: the share of its ten most active patches that show the same thing."
)


def scale_colour(scale: int) -> str:
    """Return the colour of a scale."""
    return SCALE_COLOURS[scale % len(SCALE_COLOURS)]


def neighbour_cutout(neighbour: Neighbour) -> Cutout:
    """Return the picture of a neighbour, with its patch in full light."""
    pixels = spotlit(neighbour.patch.picture() / 255, neighbour.cell, None)
    return Cutout(pixels, neighbour.cell, None)


def draw_overview(sheet: Sheet, top: float, classes: Sequence[ClassContents]) -> float:
    """Draw a row for each class: prototypes in use, scales, redundancy; return where it ends."""
    from protoxai.runtime.figure_sheet import GREY, NOTE

    grouped = any(each.groups for each in classes)
    name, count, number = 0.26 * sheet.width, 0.62, 0.72
    bar = sheet.width - name - count - (1 + grouped) * number - 3 * GAP
    places = [0.0, name + GAP, name + count + 2 * GAP]
    places += [places[2] + bar + GAP + number, places[2] + bar + GAP + 2 * number]
    heads = ("Class", "in use", "weight by scale" if grouped else "prototypes by scale")
    for left, head in zip(places, heads, strict=False):
        sheet.text(left, top, head, size=NOTE, colour=GREY, width=bar)
    for left, head in zip(places[3:], ("redundant", "overlap")[: 1 + grouped], strict=False):
        sheet.text(left, top, head, size=NOTE, colour=GREY, align="right", width=number)
    top += 0.16
    for each in classes:
        sheet.text(places[0], top, each.name, width=name)
        sheet.text(places[1], top, f"{len(each.in_use)} of {each.prototypes}", width=count)
        _draw_mass(sheet, (places[2], top + 0.02, bar, 0.11), each.scale_mass)
        values = (each.redundancy, each.overlap)[: 1 + grouped]
        for left, value in zip(places[3:], values, strict=False):
            sheet.text(left, top, percent(value), align="right", width=number)
        top += 0.17
    top = _draw_key(sheet, top + 0.06, classes[0].scale_mass, shares=False)
    return sheet.paragraph(0, top + 0.06, OF_CLASSES + (OF_GROUPS if grouped else ""), sheet.width)


def draw_class(
    sheet: Sheet,
    top: float,
    contents: ClassContents,
    prototypes: Sequence[Prototype],
    neighbours: Neighbours | None,
) -> float:
    """Draw the prototypes of a class by scale, and its groups; return where they end, in inches.

    Args:
        sheet: Sheet to draw on.
        top: Where to begin, in inches.
        contents: What the class has.
        prototypes: All prototypes of the model.
        neighbours: Nearest patches; None without data.
    """
    from protoxai.runtime.figure_sheet import GREY, TITLE

    line = sheet.text(0, top, contents.name, size=TITLE + 1.5, bold=True)
    used = f"{len(contents.in_use)} of {contents.prototypes} prototypes in use, "
    used += "weight of the groups by scale:" if contents.groups else "by scale:"
    line = sheet.text(0, line, used, colour=GREY) + 0.03
    _draw_mass(sheet, (0, line, sheet.width, 0.11), contents.scale_mass)
    line = _draw_key(sheet, line + 0.15, contents.scale_mass) + 0.1
    shown = [prototypes[index] for index in contents.in_use]
    if neighbours is None:
        line = _draw_grid(sheet, line, shown)
    else:
        line = _draw_rows(sheet, line, shown, neighbours)
    line += 0.05
    for group in contents.groups:
        line = _draw_group(sheet, line, group, prototypes) + 0.06
    return line


def draw_legend(sheet: Sheet, top: float, *, neighbours: bool) -> float:
    """Explain pictures and words, and return where the text ends."""
    words = HOW_TO_READ + (OF_NEIGHBOURS if neighbours else "")
    return sheet.paragraph(0, top, words, sheet.width)


def percent(share: float) -> str:
    """Return a share in percent, and a dash where there is none.

    Example:
        >>> percent(0.254), percent(math.nan)
        ('25%', '–')
    """
    return "–" if math.isnan(share) else f"{share:.0%}"


def _draw_grid(sheet: Sheet, top: float, prototypes: Sequence[Prototype]) -> float:
    """Draw pictures in rows, each with its name, scale and groups, and return where they end."""
    from protoxai.runtime.figure_sheet import GREY, NOTE

    columns = max(1, int((sheet.width + GAP) / (PICTURE + GAP)))
    side = (sheet.width - GAP * (columns - 1)) / columns
    tall = side + 0.04 + 3 * NOTE * LINE + 0.1
    for position, prototype in enumerate(prototypes):
        row, column = divmod(position, columns)
        left, begin = column * (side + GAP), top + row * tall
        draw_cutout(sheet, prototype_cutout(prototype), (left, begin, side, side))
        name = f"prototype {prototype.index}"
        line = sheet.text(left, begin + side + 0.04, name, size=NOTE, width=side)
        sheet.rectangle((left, line + 0.025, 0.07, 0.07), scale_colour(prototype.scale))
        scale, _, groups = group_words(prototype).partition(", ")
        line = sheet.text(left + 0.11, line, scale, size=NOTE, colour=GREY, width=side - 0.11)
        sheet.text(left, line, groups, size=NOTE, colour=GREY, width=side)
    return top + math.ceil(len(prototypes) / columns) * tall


def _draw_rows(
    sheet: Sheet, top: float, prototypes: Sequence[Prototype], neighbours: Neighbours
) -> float:
    """Draw a row for each prototype: its picture, and its nearest patches beside it."""
    from protoxai.runtime.figure_sheet import GREY, NOTE

    left, gap = PICTURE + 2 * GAP, GAP / 2
    columns = max(1, int((sheet.width - left + gap) / (SMALL + gap)))
    for prototype in prototypes:
        draw_cutout(sheet, prototype_cutout(prototype), (0, top, PICTURE, PICTURE))
        sheet.rectangle((left, top + 0.025, 0.07, 0.07), scale_colour(prototype.scale))
        words = f"prototype {prototype.index}, {group_words(prototype)}"
        if prototype.index in neighbours.purity:
            words += f"; {purity_words(neighbours.purity[prototype.index])}"
        line = sheet.text(left + 0.11, top, words, size=NOTE, colour=GREY) + 0.04
        shown = neighbours.patches[prototype.index]
        for position, neighbour in enumerate(shown):
            row, column = divmod(position, columns)
            place = left + column * (SMALL + gap), line + row * (SMALL + gap)
            draw_cutout(sheet, neighbour_cutout(neighbour), (*place, SMALL, SMALL))
        rows = math.ceil(len(shown) / columns)
        top = max(top + PICTURE, line + rows * (SMALL + gap)) + 0.1
    return top


def purity_words(purity: Purity) -> str:
    """Return a purity in words: "purity 80% sky (30% by chance)"."""
    return f"purity {percent(purity.share)} {purity.shows} ({percent(purity.by_chance)} by chance)"


def _draw_group(
    sheet: Sheet, top: float, group: Composition, prototypes: Sequence[Prototype]
) -> float:
    """Draw a group as a sum of small pictures with their weights, in the order of the scales."""
    from protoxai.runtime.figure_sheet import NOTE, TEXT

    label = 0.75
    sheet.text(0, top + SMALL / 2 - 0.06, f"Group {group.number} =", size=TEXT, bold=True)
    if not group.members:
        sheet.text(label, top + SMALL / 2 - 0.06, "nothing: it is not used")
    step = SMALL + 0.18
    columns = max(1, int((sheet.width - label + 0.18) / step))
    for position, (index, weight) in enumerate(group.members):
        row, column = divmod(position, columns)
        left, begin = label + column * step, top + row * (SMALL + 0.3)
        if position:
            sheet.text(left - 0.13, begin + SMALL / 2 - 0.07, "+", width=0.13)
        draw_cutout(sheet, prototype_cutout(prototypes[index]), (left, begin, SMALL, SMALL))
        colour = scale_colour(prototypes[index].scale)
        sheet.rectangle((left, begin + SMALL + 0.03, SMALL * min(weight, 1.0), 0.05), colour)
        sheet.text(left, begin + SMALL + 0.09, f"{weight:.2f}", size=NOTE, width=SMALL)
    return top + max(1, math.ceil(len(group.members) / columns)) * (SMALL + 0.3)


def _draw_mass(
    sheet: Sheet, cell: tuple[float, float, float, float], mass: Sequence[float]
) -> None:
    left, top, width, height = cell
    for scale, share in enumerate(mass):
        if share > 0:
            sheet.rectangle((left, top, share * width, height), scale_colour(scale), "white")
            left += share * width


def _draw_key(sheet: Sheet, top: float, mass: Sequence[float], *, shares: bool = True) -> float:
    """Name the colours of the scales, perhaps with their shares, and return where the key ends."""
    from protoxai.runtime.figure_sheet import GREY, NOTE

    step = 1.0
    columns = max(1, int(sheet.width / step))
    for scale, share in enumerate(mass):
        row, column = divmod(scale, columns)
        left, line = column * step, top + row * 0.16
        sheet.rectangle((left, line + 0.025, 0.08, 0.08), scale_colour(scale))
        words = f"scale {scale + 1}" + (f", {percent(share)}" if shares else "")
        sheet.text(left + 0.13, line, words, size=NOTE, colour=GREY, width=step - 0.15)
    return top + math.ceil(len(mass) / columns) * 0.16
