"""Checks of arguments, with errors that say what was given, what was expected and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def positive(name: str, value: int) -> int:
    """Return a whole number of at least 1.

    Args:
        name: Name of the argument, for the error.
        value: Its value.

    Raises:
        ValueError: If the value is anything else.
    """
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name} is {value!r}, expected a whole number of at least 1")
    return int(value)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return a hint at the known words that were probably meant, to append to an error.

    Args:
        word: What was given.
        known: What would have been accepted.

    Returns:
        Text that begins with a space, or nothing if no known word is close or the word is known.

    Example:
        >>> "there is no color 'gren'" + did_you_mean("gren", ["green", "blue"])
        "there is no color 'gren' (did you mean 'green'?)"
    """
    words = list(known)
    if word in words:
        return ""
    by_lower_case = {name.lower(): name for name in reversed(words)}
    close = difflib.get_close_matches(str(word).lower(), by_lower_case, n=2)
    if not close:
        return ""
    return f" (did you mean {' or '.join(repr(by_lower_case[name]) for name in close)}?)"
