"""Names in figures, shown as they are: no formulas, and no warning about missing characters."""

from __future__ import annotations

from functools import cache
from typing import Any

AS_IT_IS: dict[str, Any] = {"parse_math": False, "usetex": False}
"""Properties of a text that is neither a formula nor TeX: ``$``, ``_`` and ``^`` are shown."""

MISSING = "□"
"""Character for those that the font lacks, which would otherwise be drawn so with a warning."""


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
