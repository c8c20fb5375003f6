"""Figures that are laid out in inches, and saved as papers need them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Affine2D, ScaledTranslation
from numpy.typing import NDArray

from protoxai.runtime.figure_text import AS_IT_IS, shortened, wrapped

TITLE, TEXT, NOTE = 8.5, 7.5, 6.8
"""Sizes of fonts in points."""
LINE = 1.35 / 72
"""Height of a line of text in inches, per point of its font."""
GREY = "#57606a"
FILE_OPTIONS: Any = {"svg.fonttype": "none", "pdf.fonttype": 42, "ps.fonttype": 42}
"""Text remains text in vector files."""
DPI = 300
MARGIN = 0.04
"""Empty inches at the left and at the right, so that frames at the edge of a picture are whole."""
MOST_PIXELS = 65_535
"""Largest height of a PNG that matplotlib can draw."""

Align = Literal["left", "center", "right"]
Cell = tuple[float, float, float, float]


class PaperFigure(Figure):
    """Figure whose vector files hold text as text, and whose pictures have 300 pixels per inch."""

    def savefig(self, fname: Any, *, transparent: bool | None = None, **options: Any) -> None:
        """Save the figure, see :meth:`matplotlib.figure.Figure.savefig`."""
        options.setdefault("dpi", min(DPI, int(MOST_PIXELS / max(self.get_size_inches()))))
        with rc_context(FILE_OPTIONS):
            super().savefig(fname, transparent=transparent, **options)


class Sheet:
    """A figure that is laid out in inches from its top left corner, within narrow margins.

    The height is set at last, when it is known how much the content needs.

    Args:
        width: Width in inches.

    Attributes:
        figure: The figure.
        width: Width between the margins in inches.
    """

    def __init__(self, width: float) -> None:
        self.figure = PaperFigure(figsize=(width, 1), facecolor="white")
        self.width = width - 2 * MARGIN
        self._cells: list[tuple[Axes, Cell]] = []
        down = Affine2D().translate(MARGIN, 0).scale(1, -1) + self.figure.dpi_scale_trans
        # The annotation of matplotlib asks for an affine transform, which this one is.
        figure: Any = self.figure.transFigure
        self._inches = down + ScaledTranslation(0, 1, figure)

    def axes(self, cell: Cell) -> Axes:
        """Add axes.

        Args:
            cell: Left, top, width and height in inches.
        """
        axes = self.figure.add_axes((0, 0, 1, 1))
        self._cells.append((axes, cell))
        return axes

    def picture(
        self, pixels: NDArray[Any], cell: Cell, align: Align = "left", *, smooth: bool = True
    ) -> tuple[Axes, Cell]:
        """Add a picture, as large as it fits into a cell, at its top.

        Args:
            pixels: RGB picture (h, w, 3).
            cell: Left, top, width and height of the cell in inches.
            align: Where the picture stands in a wider cell.
            smooth: Whether enlarged pixels are interpolated.

        Returns:
            The axes, in whose coordinates pixel (row, col) reaches from (col, row) to
            (col + 1, row + 1), and the cell that the picture takes.
        """
        left, top, width, height = cell
        rows, cols = pixels.shape[:2]
        scale = min(width / cols, height / rows)
        taken = (cols * scale, rows * scale)
        left += {"left": 0.0, "center": 0.5, "right": 1.0}[align] * (width - taken[0])
        axes = self.axes((left, top, *taken))
        axes.set_axis_off()
        axes.imshow(
            np.clip(pixels, 0, 1) if pixels.dtype.kind == "f" else pixels,
            extent=(0, cols, rows, 0),
            interpolation="bicubic" if smooth else "nearest",
            aspect="auto",
        )
        return axes, (left, top, *taken)

    def text(
        self,
        left: float,
        top: float,
        text: str,
        *,
        size: float = TEXT,
        bold: bool = False,
        colour: str = "black",
        align: Align = "left",
        width: float | None = None,
    ) -> float:
        """Add a line of text, and return where the next one begins.

        Args:
            left: Horizontal position in inches: of the text's left end, centre or right end.
            top: Top of the line in inches.
            text: Any text; it is no formula.
            size: Size of the font in points.
            bold: Whether it is bold.
            colour: Colour of the text.
            align: What of the text stands at ``left``.
            width: Width in inches that the text is cut to; None for the rest of the sheet.
        """
        line = shortened(text, self.width - left if width is None else width, size, bold=bold)
        self.figure.text(
            left,
            top + 0.8 * LINE * size,
            line,
            transform=self._inches,
            fontsize=size,
            fontweight="bold" if bold else "normal",
            color=colour,
            ha=align,
            va="baseline",
            **AS_IT_IS,
        )
        return top + LINE * size

    def paragraph(
        self, left: float, top: float, text: str, width: float, *, size: float = NOTE
    ) -> float:
        """Add grey text of several lines, and return where the next begins."""
        for line in wrapped(text, width, size):
            top = self.text(left, top, line, size=size, colour=GREY, width=width + 0.1)
        return top

    def rectangle(self, cell: Cell, colour: str, edge: str = "none") -> None:
        """Add a filled rectangle, (left, top, width, height) in inches."""
        left, top, width, height = cell
        patch = Rectangle(
            (left, top), width, height, transform=self._inches, facecolor=colour, edgecolor=edge
        )
        patch.set_linewidth(0.5)
        self.figure.add_artist(patch)

    def finish(self, height: float) -> Figure:
        """Set the height in inches, and return the figure."""
        full = self.width + 2 * MARGIN
        self.figure.set_size_inches(full, height)
        for axes, (left, top, width, tall) in self._cells:
            bottom = 1 - (top + tall) / height
            axes.set_position(((left + MARGIN) / full, bottom, width / full, tall / height))
        return self.figure
