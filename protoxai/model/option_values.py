"""Values of the models' options, as Python's own plain values."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
from torch import Tensor

from protoxai.runtime.checks import FINITE, Range, did_you_mean, flag, number, shown, whole

KINDS = {int: "whole numbers", float: "numbers", str: "names"}
NOUNS = {str: "name"}


def plain_value(name: str, value: object, hint: Any, expected: Range | None = None) -> Any:
    """Return an option's value as the plain value that its type stands for.

    NumPy's numbers, arrays and tensors become Python's own numbers, text and tuples, so that a
    model keeps the same values whether it was built, or saved and loaded.

    Args:
        name: Name of the option, for the error.
        value: Value that was given.
        hint: Type of the option: a plain type, a literal, a sequence, or a union of these.
        expected: Range of its numbers; None for all finite numbers.

    Raises:
        TypeError: If the value has another type.
        ValueError: If it is not in the range, or is no list of such values.

    Example:
        >>> plain_value("atrous_rates", np.array([6, 12]), Sequence[int])
        (6, 12)
    """
    forms = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if value is None and type(None) in forms:
        return None
    items = _items(value)
    form = _form_of(value, items, [form for form in forms if form is not type(None)])
    if get_origin(form) is Sequence:
        return _plain_list(name, value, items, get_args(form)[0], expected)
    if get_origin(form) is Literal:
        return _plain_choice(name, value, get_args(form))
    if form is bool:
        return flag(name, value)
    if form is int:
        return whole(name, value, expected or FINITE)
    if form is float:
        return number(name, value, expected or FINITE)
    if not isinstance(value, form):
        raise TypeError(f"{name} is {shown(value)}, expected a {NOUNS.get(form, form.__name__)}")
    return str(value) if form is str else value


def _form_of(value: object, items: list[Any] | None, forms: list[Any]) -> Any:
    """Return the member of a union as which a value is read."""
    lists = [form for form in forms if get_origin(form) is Sequence]
    single = [form for form in forms if form not in lists]
    if lists and (items is not None or not single):
        return lists[0]
    return str if isinstance(value, str) and str in single else single[0]


def _items(value: object) -> list[Any] | None:
    """Return the items of a list, array or tensor of one dimension; None for anything else."""
    if isinstance(value, np.ndarray | Tensor):
        return list(value.tolist()) if value.ndim == 1 else None
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    return None


def _plain_list(
    name: str, value: object, items: list[Any] | None, hint: Any, expected: Range | None
) -> tuple[Any, ...]:
    try:
        if items is not None:
            return tuple(plain_value(name, item, hint, expected) for item in items)
    except (TypeError, ValueError):
        pass
    kind = KINDS[(get_args(hint) or (hint,))[0]]
    words = kind if kind == "names" else f"{kind} {expected or FINITE}"
    raise ValueError(f"{name} are {shown(value)}, expected a list of {words}")


def _plain_choice(name: str, value: object, choices: tuple[Any, ...]) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"{name} is {shown(value)}, expected one of {choices}{did_you_mean(value, choices)}"
        )
    return choices[choices.index(value)]
