"""Recipes from plain values: each value as its key's type, or what does not fit, in one line."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from protoxai.runtime.checks import FINITE, Range, did_you_mean, short, shown
from protoxai.training.recipes.renamed import RENAMED
from protoxai.training.recipes.yaml_files import RecipeError

DEEPEST = 32
WORDS = {bool: "true or false", str: "text", type(None): "null"}


def construct(expected: Any, content: object, place: str = "") -> Any:
    """Return content as the expected type.

    Args:
        expected: A dataclass, container or plain type, where ``Annotated[int, Range(...)]`` limits
            numbers.
        content: Plain values, as read from YAML; numbers may be text, which YAML takes 1e-3 for.
        place: Dotted key of the content, for errors.

    Raises:
        RecipeError: If a key or a value does not fit.

    Example:
        >>> @dataclasses.dataclass
        ... class Crop:
        ...     height: Annotated[int, Range(least=1)]
        ...     flip: float = 0.5
        >>> construct(Crop, {"height": 3})
        Crop(height=3, flip=0.5)
        >>> construct(Crop, {"height": 0})
        Traceback (most recent call last):
        protoxai.training.recipes.yaml_files.RecipeError: height is 0, expected a whole number of
        at least 1
    """
    return _built(expected, fitted(content, expected, place))


def check_fields(recipe: Any) -> None:
    """Check every field of a dataclass and keep it as its declared type.

    Args:
        recipe: An instance, in its ``__post_init__``.

    Raises:
        RecipeError: If a value does not fit.
    """
    for name, hint in field_types(type(recipe)).items():
        # The dataclasses are frozen.
        object.__setattr__(recipe, name, construct(hint, getattr(recipe, name), name))


def field_types(kind: Any) -> Mapping[str, Any]:
    """Return the type of each field of a dataclass, with its range."""
    return get_type_hints(kind, include_extras=True)


def fitted(content: object, expected: Any, place: str = "", limits: Range = FINITE) -> Any:
    """Return content as the expected type, with mappings in place of dataclasses.

    Args:
        content: Plain values.
        expected: Type of the content; see :func:`construct`.
        place: Dotted key of the content, for errors.
        limits: Range of numbers in the content.

    Raises:
        RecipeError: If a key or a value does not fit.
    """
    if get_origin(expected) is Annotated:
        inner, limits = get_args(expected)
        return fitted(content, inner, place, limits)
    if dataclasses.is_dataclass(expected):
        known = isinstance(content, expected)  # type: ignore[arg-type]
        return content if known else _fitted_keys(content, expected, place)
    content = _without_types(content)
    if expected is Any:
        return _fitted_anything(content, place)
    origin, inner = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        for option in inner:
            try:
                return fitted(content, option, place, limits)
            except RecipeError:
                continue
    elif origin is dict and isinstance(content, Mapping):
        names = [_name(key, place) for key in content]
        items = zip(names, content.items(), strict=True)
        return {
            key: fitted(value, inner[1], f"{place}.{name}", limits) for name, (key, value) in items
        }
    elif origin in (list, tuple) and isinstance(content, list | tuple):
        many = origin is list or inner[-1] is Ellipsis
        if many or len(content) == len(inner):
            hints = [inner[0]] * len(content) if many else inner
            return origin(
                fitted(item, hint, f"{place}[{_label(item, number)}]", limits)
                for number, (item, hint) in enumerate(zip(content, hints, strict=True))
            )
    else:
        value = _as_plain(content, expected)
        if _is_plain(value, expected, limits):
            return float(value) if expected is float else value
    raise RecipeError(not_as_expected(place, content, expected, limits))


def not_as_expected(place: str, content: object, expected: Any, limits: Range = FINITE) -> str:
    """Return the line about a value that does not have the expected type.

    Args:
        place: Key or option that the value was given for.
        content: The value.
        expected: The expected type.
        limits: Range of its numbers.
    """
    given = "null" if content is None else shown(content)
    return f"{place} is {given}, expected {_words(expected, limits)}"


def _built(expected: Any, values: Any) -> Any:
    """Return values that fit with dataclasses in place of mappings."""
    if dataclasses.is_dataclass(expected) and isinstance(values, dict):
        hints = field_types(expected)
        built = {key: _built(hints[key], value) for key, value in values.items()}
        return expected(**built)  # type: ignore[operator]
    if get_origin(expected) is list:
        return [_built(get_args(expected)[0], value) for value in values]
    return values


def _fitted_keys(content: object, expected: Any, place: str) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise RecipeError(not_as_expected(place or "the file", content, expected))
    hints = field_types(expected)
    prefix = f"{place}." if place else ""
    for key in content:
        if key not in hints and RENAMED.get(key) in hints:
            raise RecipeError(f"{prefix}{key} was renamed to {prefix}{RENAMED[key]}")
        if key not in hints:
            raise RecipeError(
                f"there is no key {prefix}{short(key)}{did_you_mean(key, hints)}; expected some of "
                f"{', '.join(hints)}"
            )
    values = {key: fitted(value, hints[key], prefix + key) for key, value in content.items()}
    for field in dataclasses.fields(expected):
        defaults = (field.default, field.default_factory)
        if field.name not in content and defaults == (dataclasses.MISSING, dataclasses.MISSING):
            raise RecipeError(
                f"{prefix}{field.name} is missing: give it a value, it has no default"
            )
    return values


def _fitted_anything(content: Any, place: str, depth: int = 0) -> Any:
    """Return a value of any plain type, which YAML can record."""
    content = _without_types(content)
    if depth > DEEPEST:
        raise RecipeError(f"{place} is nested too deeply, more than {DEEPEST} levels")
    if isinstance(content, Mapping):
        return {
            key: _fitted_anything(value, f"{place}.{_name(key, place)}", depth + 1)
            for key, value in content.items()
        }
    if isinstance(content, list | tuple):
        items = (
            _fitted_anything(item, f"{place}[{n}]", depth + 1) for n, item in enumerate(content)
        )
        return type(content)(items)
    if content is None or any(_is_plain(content, kind, FINITE) for kind in (bool, int, float, str)):
        return content
    raise RecipeError(
        f"{place} is {shown(content)}, expected finite numbers, text, true, false, null, or lists "
        "and mappings of these"
    )


def _without_types(content: object) -> Any:
    """Return NumPy numbers and paths as Python's numbers and text, anything else as it is."""
    if isinstance(content, np.generic):
        return content.item()
    return os.fspath(content) if isinstance(content, os.PathLike) else content


def _as_plain(content: Any, expected: Any) -> Any:
    """Return the value that a text stands for where a number or a truth value is expected."""
    if not isinstance(content, str):
        return content
    if expected is bool:
        return {"true": True, "false": False}.get(content.lower(), content)
    if expected is int and re.fullmatch(r"[-+]?[0-9]{1,40}", content):
        return int(content)
    if expected is float:
        try:
            return float(content)
        except ValueError:
            return content
    return content


def _is_plain(value: Any, expected: Any, limits: Range) -> bool:
    if get_origin(expected) is Literal:
        return isinstance(value, str) and value in get_args(expected)
    if expected is float and type(value) in (int, float):
        return _is_finite(value) and value in limits
    if type(value) is not expected:
        return False
    if expected is str:
        return _is_text(value)
    return expected is not int or value in limits


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _is_text(text: str) -> bool:
    """Return whether a text can be written to files: it has neither NUL nor lone surrogates."""
    return not re.search("[\0\ud800-\udfff]", text)


def _name(key: object, place: str) -> str:
    if not isinstance(key, str) or not _is_text(key):
        raise RecipeError(f"{place} has the key {shown(key)}, expected text: quote it")
    return short(key)


def _label(item: object, number: int) -> object:
    name = item.get("name") if isinstance(item, Mapping) else None
    return short(name) if isinstance(name, str) else number


def _words(expected: Any, limits: Range) -> str:
    origin, inner = get_origin(expected), get_args(expected)
    if origin is Annotated:
        return _words(*inner)
    if dataclasses.is_dataclass(expected):
        return f"the keys {', '.join(field_types(expected))}"
    if origin in (Union, types.UnionType):
        return " or ".join(_words(option, limits) for option in inner)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is dict:
        return f"names, each with {_words(inner[1], limits)}"
    if origin is tuple and inner[-1] is not Ellipsis:
        return f"a list of {len(inner)}, each {_words(inner[0], limits)}"
    if origin in (list, tuple):
        return f"a list, each {_words(inner[0], limits)}"
    if expected is int:
        return "a whole number" if limits == FINITE else f"a whole number {limits}"
    return f"a number {limits}" if expected is float else WORDS.get(expected, "any value")
