"""What figures draw over pictures, and the words for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from protoxai.explanations.figures.pictures import Cutout, Pixels
from protoxai.prototypes.prototype import Prototype
from protoxai.prototypes.provenance import Box
from protoxai.runtime.checks import Range
from protoxai.runtime.figure_text import drawable, shortened, text_width, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from protoxai.runtime.figure_sheet import Cell, Sheet

FOR, AGAINST = "#2171b5", "#b3540f"
"""Colours of what speaks for a class and against it, which colour-blind people can tell apart."""
YELLOW, INK = "#ffe94a", "#1b1f24"
INCHES = Range(least=1, most=40)
NO_PICTURE = "no picture kept"
SMALL, MUTED = 6.5, "#57606a"


def draw_cutout(
    sheet: Sheet, cutout: Cutout | None, cell: Cell, *, feature_pixel: bool = False
) -> float:
    """Draw a cutout with the frame of its active region, or say that no picture was kept.

    Args:
        sheet: Sheet to draw on.
        cutout: The cutout; None if no picture was kept.
        cell: Left, top, width and height in inches.
        feature_pixel: Whether to frame the feature pixel, too.

    Returns:
        Where the picture ends at the right, in inches.
    """
    if cutout is None:
        left, top, width, height = cell
        sheet.rectangle(cell, "#f1f2f3")
        lines = wrapped(NO_PICTURE, width - 0.06, SMALL)
        line = top + (height - len(lines) * SMALL / 54) / 2
        for text in lines:
            middle = left + width / 2
            line = sheet.text(middle, line, text, size=SMALL, colour=MUTED, align="center")
        return left + width
    axes, taken = sheet.picture(cutout.pixels, cell)
    frame(axes, cutout.box, width=1.0 if min(cell[2:]) > 0.7 else 0.6)
    if feature_pixel and cutout.cell is not None and cutout.cell != cutout.box:
        frame(axes, cutout.cell, YELLOW, 0.7)
    return taken[0] + taken[2]


def frame(axes: Axes, box: Box, colour: str = "white", width: float = 1.0) -> None:
    """Draw a box in a picture: a line of a colour on a wider dark one, seen on any background.

    Args:
        axes: Axes whose units are the picture's pixels.
        box: Box (top, left, bottom, right).
        colour: Colour of the line.
        width: Width of the line in points.
    """
    from matplotlib.patches import Rectangle

    top, left, bottom, right = box
    for ink, points in ((INK, width + 0.9), (colour, width)):
        axes.add_patch(
            Rectangle(
                (left, top), right - left, bottom - top, fill=False, edgecolor=ink,
                linewidth=points, clip_on=False, joinstyle="miter",
            )
        )  # fmt: skip


def outline(axes: Axes, region: Tensor, colour: str) -> None:
    """Draw the outline of a region in a picture.

    Args:
        axes: Axes whose units are the picture's pixels.
        region: Pixels, bool (H, W).
        colour: Colour of the line.
    """
    mask = np.pad(region.numpy(), 1)
    if bool(region.all()):
        return
    rows, cols = (np.arange(-1, n + 1) + 0.5 for n in region.shape)
    for ink, points in ((INK, 1.7), (colour, 1.0)):
        axes.contour(cols, rows, mask, levels=[0.5], colors=[ink], linewidths=points)
    axes.set(xlim=(0, region.shape[1]), ylim=(region.shape[0], 0))


def bounding_box(region: Tensor) -> Box:
    """Return the box around a region, bool (H, W) with at least one pixel."""
    rows, cols = (region.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
    return rows[0], cols[0], rows[-1] + 1, cols[-1] + 1


def hex_of(colour: Pixels) -> str:
    """Return a colour of three values in [0, 1] as "#rrggbb"."""
    return "#" + "".join(f"{round(255 * float(value)):02x}" for value in colour)


def group_words(prototype: Prototype) -> str:
    """Return a prototype's scale and groups in words: "scale 2, groups 1 and 3".

    Scales and groups are counted from 1.

    Args:
        prototype: The prototype.
    """
    scale = f"scale {prototype.scale + 1}"
    numbers = [str(number) for number in prototype.groups]
    if not numbers:
        return scale
    if len(numbers) == 1:
        return f"{scale}, group {numbers[0]}"
    return f"{scale}, groups {', '.join(numbers[:-1])} and {numbers[-1]}"


def versus(this: str, other: str | None, width: float, size: float) -> str:
    """Return "this rather than other" in bold letters, with the names cut if they are too long.

    Args:
        this: Name of a class.
        other: Name of another one; None if there is none.
        width: Width in inches.
        size: Size of the font in points.
    """
    if other is None:
        return shortened(this, width, size, bold=True)
    rest = width - text_width(" rather than ", size, bold=True)
    short = min(text_width(drawable(name), size, bold=True) for name in (this, other))
    longest = max(rest / 2, rest - short)
    return " rather than ".join(shortened(n, longest, size, bold=True) for n in (this, other))


def signed(value: float) -> str:
    """Return a number with its sign, as a reader expects it: "+0.83", "−0.40".

    Example:
        >>> signed(-0.4), signed(0.0)
        ('−0.40', '+0.00')
    """
    return f"{value:+.2f}".replace("-", "−")


def unsigned(value: float) -> str:
    """Return a number without a plus: "15.60", "−0.40"."""
    return f"{value:.2f}".replace("-", "−")


def direction(value: float) -> str:
    """Return the colour of a contribution: for or against."""
    return FOR if value >= 0 else AGAINST
