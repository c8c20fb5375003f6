"""Load the names of a package when they are first used."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protoxai.runtime.extras import missing_extra


def attach(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return the ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    The package's stub, ``__init__.pyi``, is the only list of its names: type checkers read it, and
    so does this function. Each name is imported from its module when it is first used.

    Args:
        package: ``__name__`` of the calling package.

    Raises:
        AttributeError: When a name is used that the stub does not list.
        MissingExtraError: When a name is used whose module needs an optional dependency that is
            not installed.
    """
    module = sys.modules[package]
    stub = Path(str(module.__file__)).with_suffix(".pyi")
    homes = {
        alias.name: node.module
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(importlib.import_module(str(homes[name])), name)
        except ModuleNotFoundError as error:
            raise missing_extra(error) from error
        setattr(module, name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(module), *homes})

    return load, names, list(homes)
