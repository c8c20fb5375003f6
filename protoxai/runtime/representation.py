"""Representations that reproduce a call."""

from __future__ import annotations

from torch import nn


def call_repr(obj: object, **arguments: object) -> str:
    """Return the call that makes an object, for its ``__repr__``.

    Args:
        obj: The object.
        **arguments: Its constructor's arguments, in order. A model is abbreviated to
            ``ClassName(...)``; a function or a class is shown by its name.

    Example:
        >>> call_repr([], start=1, name="a")
        "list(start=1, name='a')"
    """
    shown = ", ".join(f"{name}={_value_repr(value)}" for name, value in arguments.items())
    return f"{type(obj).__name__}({shown})"


def _value_repr(value: object) -> str:
    if isinstance(value, nn.Module):
        return f"{type(value).__name__}(...)"
    # The usual representation of a function holds its address, which differs between processes.
    return str(getattr(value, "__qualname__", repr(value)))
