"""Figure of an explanation: an image, its prediction, and what spoke for its largest regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protoxai.explanations.explanation import Explanation
from protoxai.explanations.figures.marks import INCHES, hex_of
from protoxai.explanations.figures.pictures import (
    Palette,
    Pixels,
    class_colours,
    labelled,
    rgb,
)
from protoxai.explanations.figures.region_panel import draw_region
from protoxai.runtime.checks import Range, instance, number, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from protoxai.runtime.figure_sheet import Cell, Sheet

SHOWN = Range(least=1, most=12)
GAP = 0.16
"""Inches between pictures."""
NAMES_WIDTH, LINE = 1.2, 0.153
"""Width of the names of classes, and height of one, in inches."""
BESIDE = 5
"""Width in inches from which the names stand beside the pictures."""
HOW_TO_READ = (
    "Left of each pair: the training patch that the prototype is. Right: where it is most active "
    "in this image, numbered in the outlined region. Frame: where the prototype is most active; "
    "light: how active it is. The surroundings are greyed, and dark pictures are brightened. "
)
OF_A_CONTRAST = (
    "The number is how much the prototype adds to the lead of the class over the next one. What a "
    "prototype adds to both cancels, and so does nearly all of the base. "
)
OF_A_SCORE = (
    "Score: the class with the highest is predicted. Base: the score that the class has where no "
    "prototype is active; it says nothing about the image and is nearly the same for all classes. "
    "Own: the class's own prototypes. Others: the prototypes of all other classes."
)


def explanation_figure(
    explanation: Explanation,
    *,
    palette: Palette | None = None,
    regions: int = 3,
    prototypes: int = 3,
    width: float = 7.0,
) -> Figure:
    """Draw an image, its prediction, and the prototypes that decided its largest regions.

    Each region shows why it is its class rather than the one with the next highest score: the
    prototypes that change the lead most, each once, as its training patch and beside it where it is
    most active in the image. A legend explains frames and numbers. The figure is drawn from the
    explanation alone. Text in vector files remains text.

    Args:
        explanation: Explanation from :func:`~protoxai.explain`.
        palette: RGB colour of each class, 0 to 255; None for those of the model.
        regions: Number of regions to show, the largest first.
        prototypes: Number of prototypes per region.
        width: Width in inches: by default that of a page.

    Returns:
        A matplotlib figure; save it with ``figure.savefig("explanation.pdf")``.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If a number is out of range, or the palette does not have a colour per class.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg, explain
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> figure = explanation_figure(explain(model, torch.randn(3, 32, 40)), width=5)
        >>> float(figure.get_size_inches()[0])
        5.0
    """
    instance("explanation", explanation, Explanation, "explain(model, image)")
    regions, prototypes = whole("regions", regions, SHOWN), whole("prototypes", prototypes, SHOWN)
    width = number("width", width, INCHES)
    colours = class_colours(len(explanation.class_names), palette or explanation.palette)
    from protoxai.runtime.figure_sheet import Sheet

    sheet = Sheet(width)
    top = _draw_overview(sheet, explanation, colours)
    for region in explanation.regions[:regions]:
        colour = colours[region.class_index]
        top = draw_region(sheet, top, explanation, region, colour, prototypes)
    words = HOW_TO_READ + (OF_A_CONTRAST if len(explanation.class_names) > 1 else "") + OF_A_SCORE
    top = sheet.paragraph(0, top, words, sheet.width)
    return sheet.finish(top + 0.05)


def _draw_overview(sheet: Sheet, explanation: Explanation, colours: Pixels) -> float:
    """Draw the image, the prediction and the truth, and return where the regions begin."""
    from protoxai.runtime.figure_sheet import TITLE

    image, given = explanation.image, explanation.labels
    panels = [
        ("Image", rgb(image)),
        ("Prediction", labelled(image, explanation.prediction, colours)),
    ]
    if given is not None:
        panels.append(("Truth", labelled(image, given, colours)))
    beside = sheet.width >= BESIDE
    names = NAMES_WIDTH + GAP if beside else 0.0
    side = (sheet.width - names - GAP * (len(panels) - 1)) / len(panels)
    height = min(side * image.shape[1] / image.shape[2], 2.4)
    begin = sheet.text(0, 0.02, "Image", size=TITLE, bold=True, width=side) + 0.03
    for position, (title, pixels) in enumerate(panels):
        left = position * (side + GAP)
        sheet.picture(pixels, (left, begin, side, height))
        if position:
            sheet.text(left, 0.02, title, size=TITLE, bold=True, width=side)
    if beside:
        cell = (sheet.width - NAMES_WIDTH, begin, NAMES_WIDTH, height)
        return max(_draw_names(sheet, cell, explanation, colours), begin + height) + 0.16
    cell = (0, begin + height + 0.1, sheet.width, 0.5)
    return _draw_names(sheet, cell, explanation, colours) + 0.16


def _draw_names(sheet: Sheet, cell: Cell, explanation: Explanation, colours: Pixels) -> float:
    """Name the colours of the classes in the image, the largest first, and return the end."""
    left, top, width, height = cell
    areas = explanation.prediction.flatten().bincount(minlength=len(colours))
    present = set(areas.nonzero().flatten().tolist())
    if explanation.labels is not None:
        present |= {c for c in explanation.labels.unique().tolist() if 0 <= c < len(colours)}
    listed = sorted(present, key=lambda index: (-int(areas[index]), index))
    columns, rows = max(1, int(width / NAMES_WIDTH)), max(2, int(height / LINE))
    shown = listed if len(listed) <= columns * rows else listed[: columns * rows - 1]
    step = width / columns
    for position, index in enumerate(shown):
        row, column = divmod(position, columns)
        place = (left + column * step, top + row * LINE)
        sheet.rectangle((place[0], place[1] + 0.02, 0.1, 0.1), hex_of(colours[index]), "#808080")
        name = explanation.class_names[index]
        sheet.text(place[0] + 0.16, place[1], name, width=step - 0.2)
    if len(shown) < len(listed):
        row, column = divmod(len(shown), columns)
        more = f"and {len(listed) - len(shown)} more"
        sheet.text(left + column * step + 0.16, top + row * LINE, more, width=step - 0.2)
    return top + -(-min(len(listed), columns * rows) // columns) * LINE
