"""Figure of a receptive field: how far a prototype sees beyond the region that is shown for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from protoxai.explanations.figures.marks import INCHES, bounding_box, frame
from protoxai.explanations.figures.pictures import brightened, rgb
from protoxai.explanations.receptive_fields import ReceptiveField
from protoxai.runtime.checks import instance, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP = 0.08
MAP = "cividis"
"""Colour map that all readers see alike."""
BRIGHTEST = 0.99
"""Quantile of the map with the brightest colour."""


def receptive_field_figure(field: ReceptiveField, *, width: float = 3.4) -> Figure:
    """Draw the region that is shown for a prototype beside the pixels that it depends on.

    Args:
        field: Receptive field from :func:`~protoxai.explanations.receptive_field`.
        width: Width in inches: by default that of a column.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If the width is out of range.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> from protoxai.explanations import receptive_field
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 8, stride=8), 2, prototype_dim=4)
        >>> field = receptive_field(model, torch.randn(3, 48, 48), prototype=3, samples=2)
        >>> figure = receptive_field_figure(field)
    """
    instance("field", field, ReceptiveField, "receptive_field(model, image, prototype)")
    width = number("width", width, INCHES)
    from protoxai.runtime.figure_sheet import GREY, NOTE, TITLE, Sheet

    sheet = Sheet(width)
    side = (sheet.width - GAP) / 2
    box = bounding_box(field.region)
    top = sheet.text(0, 0.02, "What is shown", size=TITLE, bold=True, width=side) + 0.03
    sheet.text(side + GAP, 0.02, "What it depends on", size=TITLE, bold=True, width=side)
    shown = brightened(rgb(field.image))
    for left, pixels in ((0.0, shown), (side + GAP, map_colours(field))):
        axes, taken = sheet.picture(pixels, (left, top, side, 1.6 * side))
        frame(axes, box)
    top += taken[3] + 0.06
    top = sheet.text(0, top, f"prototype {field.prototype}", size=NOTE, colour=GREY)
    if math.isnan(field.kept):
        words = "It is not active here."
    else:
        words = (
            f"If only the framed region is kept, {field.kept:.0%} of the activation survives: "
            f"{field.inside:.0%} of what it depends on lies inside. Bright: it depends on the "
            "pixel much; colours are by the square root of the share."
        )
    top = sheet.paragraph(0, top, words, sheet.width)
    return sheet.finish(top + 0.04)


def map_colours(field: ReceptiveField) -> NDArray[np.float64]:
    """Return the map of what an activation depends on as RGB colours (H, W, 3), in [0, 1].

    Args:
        field: Receptive field.
    """
    from matplotlib import colormaps

    shares = field.map.double().numpy()
    highest = float(np.quantile(shares, BRIGHTEST)) or float(shares.max()) or 1.0
    # Square roots make small shares visible, which add up over many pixels.
    colours = colormaps[MAP](np.sqrt(np.clip(shares / highest, 0, 1)))
    return np.asarray(colours[..., :3], dtype=np.float64)
