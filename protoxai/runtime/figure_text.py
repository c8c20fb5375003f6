"""Names in figures, shown as they are: no formulas, and no warning about missing characters."""

from __future__ import annotations

from functools import cache
from typing import Any

AS_IT_IS: dict[str, Any] = {"parse_math": False, "usetex": False}
"""Properties of a text that is neither a formula nor TeX: ``$``, ``_`` and ``^`` are shown."""

MISSING = "□"
"""Character for those that the font lacks, which would otherwise be drawn so with a warning."""

POINTS = 72
"""Points in an inch."""
SPARE = 1.04
"""Width of text at any resolution, over its width at a high one: letters begin at whole pixels."""


def drawable(text: str) -> str:
    r"""Return text with a box for each character that the fonts of ``font.family`` lack.

    For other scripts, set ``matplotlib.rcParams["font.family"]`` to fonts that have them.

    Args:
        text: Any text.

    Example:
        >>> drawable("Straße $x_1$ \U000E0001")
        'Straße $x_1$ □'
    """
    letters = frozenset[int]().union(*map(_letters, _font_files()))
    box = MISSING if ord(MISSING) in letters else "?"
    return "".join(c if c == "\n" or ord(c) in letters else box for c in text)


def _font_files() -> list[str]:
    """Return the files of the fonts that are installed, or of matplotlib's own."""
    from matplotlib.font_manager import FontProperties, findfont

    files = []
    for family in FontProperties().get_family():
        try:
            properties = FontProperties(family=[family])
            files.append(str(findfont(properties, fallback_to_default=False)))
        except ValueError:  # The font is not installed.
            continue
    return files or [str(findfont(FontProperties()))]


@cache
def _letters(file: str) -> frozenset[int]:
    """Return the code points that a font has."""
    from matplotlib.font_manager import get_font

    return frozenset(get_font(file).get_charmap())


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a line of text in inches, and a little more for coarse screens.

    Args:
        text: Text whose characters the fonts have, see :func:`drawable`.
        size: Size of the font in points.
        bold: Whether it is bold.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return SPARE * float(width) / POINTS


def shortened(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Return drawable text on one line, cut with an ellipsis if it is wider than a width.

    Args:
        text: Any text.
        width: Width in inches.
        size: Size of the font in points.
        bold: Whether it is bold.

    Example:
        >>> shortened("a very long name of a class", width=1.0, size=8)
        'a very long na…'
    """
    line = drawable(" ".join(text.split()))
    if text_width(line, size, bold=bold) <= width:
        return line
    kept, length = 0, len(line)
    while kept < length:
        middle = (kept + length + 1) // 2
        fits = text_width(line[:middle].rstrip() + "…", size, bold=bold) <= width
        kept, length = (middle, length) if fits else (kept, middle - 1)
    return line[:kept].rstrip() + "…"


def wrapped(text: str, width: float, size: float) -> list[str]:
    """Return drawable text as lines that are no wider than a width.

    Args:
        text: Any text; a word that is too wide is cut.
        width: Width in inches.
        size: Size of the font in points.

    Example:
        >>> wrapped("a sentence of several words", width=1.0, size=8)
        ['a sentence of', 'several words']
    """
    lines: list[str] = []
    for word in text.split():
        longer = drawable(f"{lines[-1]} {word}") if lines else ""
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(shortened(word, width, size))
    return lines
