"""Optional dependencies: one clear line where one is missing."""

from __future__ import annotations

import importlib.util


class MissingExtraError(ImportError):
    """An optional dependency is not installed."""


def require(extra: str, *modules: str) -> None:
    """Raise :class:`MissingExtraError` unless all modules can be imported.

    Args:
        extra: the extra of protoxai that brings them.
        modules: top-level module names.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f'{" and ".join(missing)} not installed: run pip install "protoxai[{extra}]"'
        )
