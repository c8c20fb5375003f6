"""Figure of a prototype: its training patch, alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protoxai.explanations.figures.marks import INCHES, draw_cutout
from protoxai.explanations.figures.pictures import brightened, prototype_cutout
from protoxai.prototypes.prototype import Prototype
from protoxai.runtime.checks import instance, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP = 0.08
HOW_TO_READ = (
    "Left: the surroundings in the training image. Right: the same; white frame: where the "
    "prototype is most active, yellow frame: its cell, light: how active it is."
)
DARK = " Brightened."


def prototype_figure(prototype: Prototype, *, width: float = 3.4) -> Figure:
    """Draw a prototype: its training patch, where it is active in it, and what it is part of.

    Args:
        prototype: One of ``model.prototypes``.
        width: Width in inches: by default that of a column.

    Returns:
        A matplotlib figure; save it with ``figure.savefig("prototype.pdf")``. Without a picture it
        says so.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If the width is out of range.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> figure = prototype_figure(model.prototypes[3])
    """
    instance("prototype", prototype, Prototype, "model.prototypes[0]")
    width = number("width", width, INCHES)
    from protoxai.runtime.figure_sheet import NOTE, TITLE, Sheet

    sheet = Sheet(width)
    title = f"{prototype.class_name}, prototype {prototype.index}"
    top = sheet.text(0, 0.02, title, size=TITLE, bold=True) + 0.03
    cutout, side = prototype_cutout(prototype), (sheet.width - GAP) / 2
    if cutout is None or prototype.patch is None:
        draw_cutout(sheet, None, (0, top, side, side / 2))
        top += side / 2 + 0.06
    else:
        pixels = prototype.patch / 255
        left_cell = (0.0, top, side, 1.5 * side)
        _, taken = sheet.picture(brightened(pixels), left_cell)
        draw_cutout(sheet, cutout, (taken[2] + GAP, top, side, 1.5 * side), feature_pixel=True)
        top += taken[3] + 0.06
    for line in prototype_facts(prototype):
        top = sheet.text(0, top, line, size=NOTE)
    if cutout is not None:
        top = sheet.paragraph(0, top + 0.04, HOW_TO_READ, sheet.width)
    return sheet.finish(top + 0.04)


def prototype_facts(prototype: Prototype) -> list[str]:
    """Return what is known of a prototype in a few lines: scale, weights, source.

    Args:
        prototype: The prototype.
    """
    facts = [f"scale {prototype.scale + 1}"]
    if prototype.groups:
        weights = ", ".join(f"{weight:.2f} in group {n}" for n, weight in prototype.groups.items())
        facts.append(f"weight {weights}")
    elif not prototype.active:
        facts.append("used by no group")
    source = prototype.provenance
    if source is None or not source.projected:
        facts.append("not projected: it is no training patch")
    elif source.image_id is not None:
        facts.append(f"training image {source.image_id}")
    return facts
