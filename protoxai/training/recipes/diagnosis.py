"""What does not fit in a recipe: the key, its value, what was expected, and what was meant."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from protoxai.runtime.checks import did_you_mean
from protoxai.training.recipes.renamed import RENAMED

WORDS = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "text",
    type(None): "null",
}


def find_mismatch(content: object, expected: Any, place: str = "") -> str | None:
    """Return what does not fit first, in one line, or None.

    Args:
        content: Content of a YAML file.
        expected: Type that it should have: a dataclass, container or plain type.
        place: Dotted key of the content, for the message.

    Example:
        >>> @dataclasses.dataclass
        ... class Crop:
        ...     height: int
        ...     flip: float = 0.5
        >>> find_mismatch({"hieght": 3}, Crop)
        "there is no key hieght (did you mean 'height'?); expected some of height, flip"
        >>> find_mismatch({"height": "high"}, Crop)
        "height is 'high', expected a whole number"
    """
    if dataclasses.is_dataclass(expected):
        return _mismatch_of_keys(content, expected, place)
    origin, inner = get_origin(expected), get_args(expected)
    parts: Iterable[tuple[str, object, Any]] = ()
    if origin in (Union, types.UnionType):
        fits = any(find_mismatch(content, option) is None for option in inner)
    elif origin is dict:
        fits = isinstance(content, dict)
        if isinstance(content, dict):
            parts = [(f"{place}.{key}", value, inner[1]) for key, value in content.items()]
    elif origin in (list, tuple):
        many = origin is list or inner[-1] is Ellipsis
        fits = isinstance(content, list | tuple) and (many or len(content) == len(inner))
        if fits and isinstance(content, list | tuple):
            hints = [inner[0]] * len(content) if many else inner
            parts = [
                (f"{place}[{_label(item, number)}]", item, hint)
                for number, (item, hint) in enumerate(zip(content, hints, strict=True))
            ]
    else:
        fits = is_plain(content, expected)
    if not fits:
        return not_as_expected(place, content, expected)
    return next(filter(None, (find_mismatch(item, hint, at) for at, item, hint in parts)), None)


def not_as_expected(place: str, content: object, expected: Any) -> str:
    """Return the line about a value that does not have the expected type.

    Args:
        place: Key or option that the value was given for.
        content: The value.
        expected: The expected type.
    """
    given = "null" if content is None else repr(content)
    return f"{place} is {given}, expected {_words(expected)}"


def _mismatch_of_keys(content: object, expected: Any, place: str) -> str | None:
    if not isinstance(content, dict):
        return not_as_expected(place or "the file", content, expected)
    hints = get_type_hints(expected)
    prefix = f"{place}." if place else ""
    for key in content:
        if RENAMED.get(key) in hints and key not in hints:
            return f"{prefix}{key} was renamed to {prefix}{RENAMED[key]}"
        if key not in hints:
            return (
                f"there is no key {prefix}{key}{did_you_mean(key, hints)}; expected some of "
                f"{', '.join(hints)}"
            )
    mismatches = (find_mismatch(value, hints[key], prefix + key) for key, value in content.items())
    mismatch = next(filter(None, mismatches), None)
    missing = [
        f"{prefix}{field.name}"
        for field in dataclasses.fields(expected)
        if field.name not in content
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing and not mismatch:
        return f"{missing[0]} is missing: give it a value, it has no default"
    return mismatch


def is_plain(content: object, expected: Any) -> bool:
    """Return whether a value, or the text of one, has a plain type or is one of a literal."""
    if get_origin(expected) is Literal:
        return content in get_args(expected)
    if isinstance(content, str) and expected is not str:
        content = read_text(content)
    if expected is float and isinstance(content, int) and not isinstance(content, bool):
        return True
    return expected is Any or type(content) is expected


def read_text(text: str) -> object:
    """Return the value that a text stands for; YAML alone would take ``1e-3`` for text."""
    try:
        return float(text) if "e" in text.lower() else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return text


def _label(item: object, number: int) -> object:
    return item.get("name", number) if isinstance(item, dict) else number


def _words(expected: Any) -> str:
    origin, inner = get_origin(expected), get_args(expected)
    if dataclasses.is_dataclass(expected):
        return f"the keys {', '.join(get_type_hints(expected))}"
    if origin in (Union, types.UnionType):
        return " or ".join(map(_words, inner))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is dict:
        return f"names, each with {_words(inner[1])}"
    if origin is tuple and inner[-1] is not Ellipsis:
        return f"a list of {len(inner)}, each {_words(inner[0])}"
    if origin in (list, tuple):
        return f"a list, each {_words(inner[0])}"
    return WORDS.get(expected, "any value")
