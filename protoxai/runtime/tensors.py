"""Checks of tensors, with errors that say what was given, what was expected and how to fix it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from protoxai.runtime.checks import shown

Kind = Literal["floating point", "integers", "bool", "real numbers"]
"""Types of a tensor's values; real numbers are floating point or integers."""
FIXES = {
    "floating point": "convert them with .float()",
    "integers": "convert them to int64 with .long()",
    "bool": "compare, as in labels == 3",
    "real numbers": "convert them with .float()",
}


def tensor(
    name: str,
    value: object,
    dims: str = "...",
    kind: Kind = "floating point",
    *,
    meta: bool = False,
    hint: str = "",
    sizes: Mapping[str, int] | None = None,
) -> Tensor:
    """Return a value if it is a dense tensor of a type and a shape.

    Values are not read, so that the check costs nothing on any device.

    Args:
        name: Name of the argument, for the error.
        value: Its value.
        dims: Name of each dimension, separated by spaces; "..." first for any number of others.
        kind: Type of the values.
        meta: Whether tensors of the device "meta", which have no values, are accepted.
        hint: How to obtain such a tensor.
        sizes: Size of each dimension that has to have one.

    Raises:
        TypeError: If the value is no tensor, or one of another type.
        ValueError: If its shape does not fit.

    Example:
        >>> tensor("maps", torch.ones(2, 3), "batch classes", sizes={"classes": 4})
        Traceback (most recent call last):
        ValueError: maps: got shape (2, 3), expected (batch, classes=4)
    """
    expected = sizes or {}
    if not isinstance(value, Tensor):
        conversion = "convert it with torch.from_numpy" if isinstance(value, np.ndarray) else ""
        raise TypeError(
            f"{name}: got {shown(value)} ({type(value).__name__}), expected a tensor of {kind}, "
            f"{_described(dims, expected)}{_fix(hint or conversion)}"
        )
    if value.layout != torch.strided or value.is_quantized:
        stored = "quantised" if value.is_quantized else str(value.layout)
        raise TypeError(f"{name}: got a tensor that is {stored}, expected a dense one")
    if value.is_meta and not meta:
        raise TypeError(f"{name}: got a tensor of the device meta, expected one that has values")
    if not _is_of(value.dtype, kind):
        conversion = FIXES[kind]
        if value.dtype == torch.uint8 and kind == "floating point":
            conversion = "divide colours by 255, as in images / 255"
        also = hint and f"; {hint}"
        raise TypeError(f"{name}: got {value.dtype}, expected {kind}: {conversion}{also}")
    names = dims.split()
    named = names[1:] if names[0] == "..." else names
    shape = tuple(value.shape)
    fits = len(shape) == len(named) or (len(shape) > len(named) and names is not named)
    own = shape[len(shape) - len(named) :]
    if not fits or any(expected.get(dim, n) != n for dim, n in zip(named, own, strict=True)):
        raise ValueError(
            f"{name}: got shape {shape}, expected {_described(dims, expected)}{_fix(hint)}"
        )
    return value


def _described(dims: str, sizes: Mapping[str, int]) -> str:
    names = [f"{dim}={sizes[dim]}" if dim in sizes else dim for dim in dims.split()]
    return f"({', '.join(names)})"


def _fix(hint: str) -> str:
    return hint and f": {hint}"


def _is_of(dtype: torch.dtype, kind: Kind) -> bool:
    if kind == "bool" or dtype == torch.bool:
        return kind == "bool" and dtype == torch.bool
    if dtype.is_complex:
        return False
    return kind == "real numbers" or dtype.is_floating_point == (kind == "floating point")
