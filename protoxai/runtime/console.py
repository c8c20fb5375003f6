"""Text for consoles and files that cannot show every character: plain text, never an error."""

from __future__ import annotations

import codecs
import io
import re
import sys
import unicodedata

PLAIN = "protoxai.plain"
"""Name of the error handler, for ``errors=`` of ``open``, ``encode`` and ``reconfigure``."""

LETTERS = {
    "↑": "^",
    "↓": "v",
    "–": "-",
    "—": "-",
    "…": "...",
    "×": "x",
    "≤": "<=",
    "≥": ">=",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "ß": "ss",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "ø": "o",
    "Ø": "O",
    "đ": "d",
    "Đ": "D",
    "ł": "l",
    "Ł": "L",
}


def plain(text: str, encoding: str) -> str:
    r"""Return text in which characters that an encoding does not have are replaced.

    Arrows, dashes and accented letters become similar ASCII characters, others escapes. Bytes of
    file names that the locale could not decode are read as UTF-8.

    Args:
        text: Any text.
        encoding: Name of the encoding.

    Example:
        >>> plain("Straße ↑ été 道", "ascii"), plain("Straße ↑", "cp1252")
        ('Strasse ^ ete \\u9053', 'Straße ^')
    """
    return text.encode(encoding, PLAIN).decode(encoding)


def print_line(line: str) -> None:
    """Print a line, in plain text where the console lacks a character."""
    print(plain(line, getattr(sys.stdout, "encoding", None) or "utf-8"))  # noqa: T201


def use_plain_text() -> None:
    """Let the standard streams replace what they cannot show, whoever writes to them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN)


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handle an encoding error, see :func:`codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    # Surrogates from U+DC80 to U+DCFF stand for bytes of a file name; others stand for nothing.
    text = re.sub("[\ud800-\udc7f\udd00-\udfff]", _escape, text)
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if error.encoding == "utf-8":
        # Its encoder takes replacements beyond ASCII as bytes only.
        return text.encode(), error.end
    return "".join(map(_similar, text)), error.end


def _similar(letter: str) -> str:
    """Return ASCII for a letter; an escape if nothing resembles it."""
    decomposed = unicodedata.normalize("NFKD", letter)
    base = "".join(part for part in decomposed if part.isascii())
    return LETTERS.get(letter) or base or ascii(letter)[1:-1]


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


codecs.register_error(PLAIN, _replace)
