"""What stands in a figure: its texts, its pictures, its frames."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from protoxai.prototypes.provenance import Box


def texts(figure: Figure) -> list[str]:
    """All lines of text of the sheet."""
    return [text.get_text() for text in figure.texts]


def words(figure: Figure) -> str:
    """The lines of text, joined."""
    return " ".join(texts(figure))


def pictures(figure: Figure) -> list[Axes]:
    """The axes with a picture, from top left to bottom right."""
    return [axes for axes in figure.axes if axes.images]


def pixels(axes: Axes) -> np.ndarray:
    """The pixels of a picture."""
    return np.asarray(axes.images[0].get_array())


def frames(axes: Axes) -> list[Box]:
    """The boxes that are framed in a picture, in its pixels, each once."""
    boxes = []
    for frame in axes.patches:
        assert isinstance(frame, Rectangle)
        left, top = map(round, frame.get_xy())
        box = (top, left, top + round(frame.get_height()), left + round(frame.get_width()))
        boxes += [] if box in boxes else [box]
    return boxes


def drawn(figure: Figure) -> np.ndarray:
    """The figure as it would be saved, (H, W, 4)."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    file.seek(0)
    return imread(file)


def check_layout(figure: Figure) -> None:
    """Check that no text leaves the sheet, and no two texts or pictures overlap."""
    figure.draw_without_rendering()
    edge = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.texts]
    boxes += [("picture", axes.get_window_extent()) for axes in figure.axes]
    for name, box in boxes:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= edge.x1 + 1 and box.y1 <= edge.y1 + 1
        assert inside, f"{name} leaves the sheet: {box} of {edge}"
    for position, (name, box) in enumerate(boxes):
        for other_name, other in boxes[:position]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            # Lines of text may touch by the descent of a letter.
            assert width <= 1 or height <= 3, f"{name!r} overlaps {other_name!r}"
