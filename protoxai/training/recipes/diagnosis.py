"""What does not fit in a recipe: the key or the value, what was expected, what was meant."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

WORDS = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "text",
    type(None): "null",
}


def explain_misfit(recipe: type, path: Path, content: object, message: str) -> str:
    """Say in one line what does not fit in a recipe's file or on the command line.

    Args:
        recipe: the dataclass that it should make.
        path: the file.
        content: what it holds, with what it extends.
        message: the parser's own, for what is found neither in the file nor in an argument.

    Returns:
        The line, with the file's name, the key, what came and what was expected.
    """
    misfit = (
        _unknown_argument(recipe, message)
        or find_misfit(content, recipe)
        or _wrong_argument(recipe, message)
        or " ".join(message.split())
    )
    return f"{path}: {misfit}"


def find_misfit(content: object, expected: Any, where: str = "") -> str | None:
    """Return what does not fit first, or None.

    Args:
        content: what a YAML file holds.
        expected: the type that it should make: dataclasses, containers, plain values.
        where: the key that leads to the content.

    Example:
        >>> @dataclasses.dataclass
        ... class Crop:
        ...     height: int
        ...     flip: float = 0.5
        >>> find_misfit({"hieght": 3}, Crop)
        "there is no key hieght (did you mean 'height'?); expected some of height, flip"
        >>> find_misfit({"height": "high"}, Crop)
        "height is 'high', expected a whole number"
    """
    if dataclasses.is_dataclass(expected):
        return _misfit_of_keys(content, expected, where)
    origin, inner = get_origin(expected), get_args(expected)
    parts: Iterable[tuple[str, object, Any]] = ()
    if origin in (Union, types.UnionType):
        fits = any(find_misfit(content, option) is None for option in inner)
    elif origin is dict:
        fits = isinstance(content, dict)
        if isinstance(content, dict):
            parts = [(f"{where}.{key}", value, inner[1]) for key, value in content.items()]
    elif origin in (list, tuple):
        many = origin is list or inner[-1] is Ellipsis
        fits = isinstance(content, list) and (many or len(content) == len(inner))
        if fits and isinstance(content, list):
            hints = [inner[0]] * len(content) if many else inner
            parts = [
                (f"{where}[{_label(item, number)}]", item, hint)
                for number, (item, hint) in enumerate(zip(content, hints, strict=True))
            ]
    else:
        fits = _is_plain(content, expected)
    if not fits:
        return _not_as_expected(where, content, expected)
    return next(filter(None, (find_misfit(item, hint, at) for at, item, hint in parts)), None)


def closest(word: str, known: Iterable[str]) -> str:
    """Return a hint at the known word that was likely meant, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _misfit_of_keys(content: object, expected: Any, where: str) -> str | None:
    if not isinstance(content, dict):
        return _not_as_expected(where or "the file", content, expected)
    hints = get_type_hints(expected)
    prefix = f"{where}." if where else ""
    for key in content:
        if key not in hints:
            return (
                f"there is no key {prefix}{key}{closest(str(key), hints)}; expected some of "
                f"{', '.join(hints)}"
            )
    found = (find_misfit(value, hints[key], prefix + key) for key, value in content.items())
    misfit = next(filter(None, found), None)
    missing = [
        f"{prefix}{field.name}"
        for field in dataclasses.fields(expected)
        if field.name not in content
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing and not misfit:
        return f"{missing[0]} is missing: give it a value, it has no default"
    return misfit


def _not_as_expected(where: str, content: object, expected: Any) -> str:
    came = "null" if content is None else repr(content)
    return f"{where} is {came}, expected {_words(expected)}"


def _is_plain(content: object, expected: Any) -> bool:
    if get_origin(expected) is Literal:
        return content in get_args(expected)
    if isinstance(content, str) and expected is not str:
        content = _read(content)
    if expected is float and isinstance(content, int) and not isinstance(content, bool):
        return True
    return expected is Any or type(content) is expected


def _read(text: str) -> object:
    """Return what is written: YAML takes ``1e-3`` for text, people do not."""
    try:
        return float(text) if "e" in text.lower() else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return text


def _unknown_argument(recipe: type, message: str) -> str | None:
    unknown = re.search(r"unrecognized arguments: (\S+)", message)
    if unknown is None:
        return None
    given = unknown[1]
    keys = [f"--{key}" for key, _ in _keys(recipe)]
    return (
        f"there is no argument {given}{closest(given.partition('=')[0], keys)}; expected keys of "
        "the recipe, such as --data.root=FOLDER (protoxai train --help lists all)"
    )


def _wrong_argument(recipe: type, message: str) -> str | None:
    keys = dict(_keys(recipe))
    found = re.search(r'key "([\w.]+)":\s+Expected .*Got value: (.*)', message)
    if found is None or found[1] not in keys:
        return None
    return _not_as_expected(f"--{found[1]}", found[2], keys[found[1]])


def _keys(expected: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, hint in get_type_hints(expected).items():
        if dataclasses.is_dataclass(hint):
            yield from _keys(hint, f"{prefix}{name}.")
        else:
            yield prefix + name, hint


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
