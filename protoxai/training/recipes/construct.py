"""Dataclasses from plain values that have been checked."""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

from protoxai.training.recipes.diagnosis import find_mismatch, read_text


def construct(expected: Any, content: Any) -> Any:
    """Return content as the expected type: dataclasses, tuples, numbers written as text.

    Args:
        expected: A dataclass, container or plain type.
        content: Plain values in which :func:`~protoxai.training.recipes.diagnosis.find_mismatch`
            finds nothing.
    """
    if dataclasses.is_dataclass(expected):
        hints = get_type_hints(expected)
        values = {key: construct(hints[key], value) for key, value in content.items()}
        return expected(**values)  # type: ignore[operator]
    origin, inner = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        return construct(next(one for one in inner if not find_mismatch(content, one)), content)
    if origin is dict:
        return {key: construct(inner[1], value) for key, value in content.items()}
    if origin is tuple and inner[-1] is not Ellipsis:
        return tuple(construct(hint, item) for hint, item in zip(inner, content, strict=True))
    if origin in (list, tuple):
        return origin(construct(inner[0], item) for item in content)
    if expected in (bool, float, int) and isinstance(content, str):
        content = read_text(content)
    return float(content) if expected is float else content
