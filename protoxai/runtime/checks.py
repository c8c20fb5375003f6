"""Checks of arguments, with errors that say what was given, what was expected and how to fix it."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

SHOWN = 100
T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Range:
    """A range of numbers, to declare beside an option or the field of a recipe.

    Attributes:
        least: Smallest number in the range.
        most: Largest number in the range.
        above: Number that every number of the range exceeds.
        below: Number that exceeds every number of the range.

    Example:
        >>> 0.0 in Range(least=0, below=1), 1.0 in Range(least=0, below=1)
        (True, False)
        >>> print(Range(above=0))
        above 0
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        """Return whether a number is finite and in the range."""
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """Return the range in words."""
        if self.least is not None and self.most is not None:
            return f"from {_digits(self.least)} to {_digits(self.most)}"
        bounds = {
            "of at least": self.least,
            "above": self.above,
            "of at most": self.most,
            "below": self.below,
        }
        words = [f"{word} {_digits(bound)}" for word, bound in bounds.items() if bound is not None]
        return " and ".join(words) or "that is finite"


FINITE = Range()
POSITIVE = Range(above=0)
NOT_NEGATIVE = Range(least=0)
AT_LEAST_ONE = Range(least=1)
SHARE = Range(least=0, most=1)


def number(name: str, value: object, expected: Range = FINITE) -> float:
    """Return a finite number in a range, as Python's float.

    Args:
        name: Name of the argument, for the error.
        value: Number, NumPy number or tensor of one element.
        expected: Range of the number.

    Raises:
        TypeError: If the value is no real number.
        ValueError: If it is not in the range.

    Example:
        >>> number("momentum", 2, SHARE)
        Traceback (most recent call last):
        ValueError: momentum is 2, expected a number from 0 to 1
    """
    given = _real(name, value, "a number", expected)
    if given not in expected:
        raise ValueError(f"{name} is {shown(given)}, expected a number {expected}")
    return float(given)


def whole(name: str, value: object, expected: Range = FINITE) -> int:
    """Return a whole number in a range, as Python's int.

    Args:
        name: Name of the argument, for the error.
        value: Whole number, NumPy number or tensor of one element.
        expected: Range of the number.

    Raises:
        TypeError: If the value is no real number.
        ValueError: If it is not whole or not in the range.
    """
    given = _real(name, value, "a whole number", expected)
    if given not in expected or int(given) != given:
        raise ValueError(f"{name} is {shown(given)}, expected a whole number {expected}")
    return int(given)


def positive(name: str, value: object) -> int:
    """Return a whole number of at least 1, as Python's int.

    Args:
        name: Name of the argument, for the error.
        value: Its value.

    Raises:
        TypeError: If the value is no real number.
        ValueError: If it is not whole or below 1.
    """
    return whole(name, value, AT_LEAST_ONE)


def flag(name: str, value: object) -> bool:
    """Return True or False, or raise ``TypeError`` if the value is neither."""
    given = _item(value)
    if not isinstance(given, bool):
        raise TypeError(f"{name} is {shown(value)}, expected True or False")
    return given


def numbers_of(
    name: str, value: object, count: int | None = None, expected: Range = FINITE
) -> tuple[float, ...]:
    """Return finite numbers in a range, as Python's floats.

    Args:
        name: Name of the argument, for the error.
        value: List, tuple, array or tensor of numbers.
        count: Number of numbers; None for one or more.
        expected: Range of each.

    Raises:
        TypeError: If the value is no such list, or an item no real number.
        ValueError: If there are more or fewer numbers, or one is not in the range.
    """
    words = "finite numbers" if expected == FINITE else f"numbers {expected}"
    items = _items_of(name, value, count, words)
    return tuple(number(name, item, expected) for item in items)


def wholes_of(
    name: str, value: object, count: int | None = None, expected: Range = AT_LEAST_ONE
) -> tuple[int, ...]:
    """Return whole numbers in a range, as Python's ints; see :func:`numbers_of`."""
    items = _items_of(name, value, count, f"whole numbers {expected}")
    return tuple(whole(name, item, expected) for item in items)


def pair(name: str, value: object, expected: Range = AT_LEAST_ONE) -> tuple[int, int]:
    """Return two whole numbers in a range, such as a height and a width; see :func:`wholes_of`."""
    first, second = wholes_of(name, value, 2, expected)
    return first, second


def palette_of(name: str, value: object, count: int) -> tuple[tuple[int, ...], ...]:
    """Return RGB colours of whole numbers from 0 to 255, as Python's ints.

    Args:
        name: Name of the argument, for the error.
        value: List of colours, or array (count, 3).
        count: Number of colours.

    Raises:
        TypeError: If the value is no list of colours.
        ValueError: If there are more or fewer colours, or one does not hold three such numbers.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    rows = _items_of(name, value, count, "colours (red, green, blue), one per class")
    return tuple(wholes_of(f"a colour of {name}", row, 3, Range(least=0, most=255)) for row in rows)


def choice(name: str, value: object, known: Collection[str]) -> str:
    """Return one of the known words, or raise an error that names them.

    Raises:
        TypeError: If the value is no text.
        ValueError: If it is none of the words.
    """
    if isinstance(value, str) and value in known:
        return value
    message = f"{name} is {shown(value)}, expected one of {', '.join(map(repr, known))}"
    if not isinstance(value, str):
        raise TypeError(message)
    raise ValueError(message + did_you_mean(value, known))


def instance(name: str, value: object, kind: type[T] | tuple[type[T], ...], hint: str = "") -> T:
    """Return a value if it is of a class, or raise ``TypeError``.

    Args:
        name: Name of the argument, for the error.
        value: Its value.
        kind: The class, or several.
        hint: How to obtain such a value.
    """
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        expected = " or ".join(each.__name__ for each in kinds)
        raise TypeError(
            f"{name} is {shown(value)} ({type(value).__name__}), expected a {expected}"
            + (hint and f": {hint}")
        )
    return value


def function(name: str, value: Function) -> Function:
    """Return a value if it can be called, or raise ``TypeError``."""
    if not callable(value):
        raise TypeError(f"{name} is {shown(value)}, expected a function")
    return value


def shown(value: object) -> str:
    """Return how a value is quoted in an error: its representation, of at most 100 characters."""
    try:
        text = " ".join(map(str.strip, repr(value).splitlines()))
    except (ValueError, RecursionError):  # a whole number of thousands of digits, endless nesting
        text = f"a {type(value).__name__} too large to show"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def short(text: object) -> str:
    """Return a name for an error: as it is, or quoted and cut if it is long or not printable."""
    text = str(text)
    return text if len(text) <= SHOWN and text.isprintable() else shown(text)


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


def _items_of(name: str, value: Any, count: int | None, expected: str) -> list[object]:
    """Return the items of a list, a tuple, or an array or tensor of one dimension."""
    items: Any = value
    if isinstance(value, np.ndarray | Tensor) and value.ndim == 1:
        items = value.tolist()
    is_list = isinstance(items, Sequence) and not isinstance(items, str | bytes)
    if is_list and items and len(items) == (count or len(items)):
        return list(items)
    words = f"{'a list of' if count is None else count} {expected}"
    error = ValueError if is_list else TypeError
    raise error(f"{name} is {shown(value)}, expected {words}")


def _digits(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _real(name: str, value: object, kind: str, expected: Range) -> Any:
    given = _item(value)
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise TypeError(f"{name} is {shown(value)}, expected {kind} {expected}")
    return given


def _item(value: object) -> Any:
    """Return NumPy numbers and tensors of one element as Python's own, anything else as it is."""
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else value
    if isinstance(value, np.generic):
        return value.item()
    return value
