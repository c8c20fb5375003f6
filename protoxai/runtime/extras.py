"""Optional dependencies: one clear line where one is missing."""

from __future__ import annotations

import importlib.util

# The extra of each optional library that a lazily loaded name may need.
EXTRA_OF = {"jsonargparse": "train", "lightning": "train", "rich": "train", "yaml": "train"}


class MissingExtraError(ImportError):
    """An optional dependency is not installed."""


def require(extra: str, *modules: str) -> None:
    """Raise :class:`MissingExtraError` unless all modules are installed.

    Args:
        extra: The extra of protoxai that installs them.
        *modules: Names of top-level modules.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(_message(extra, missing))


def missing_extra(error: ModuleNotFoundError) -> ImportError:
    """Return the error that names the extra to install, or the given one if no extra would help.

    Args:
        error: The error of a failed import.
    """
    name = str(error.name).partition(".")[0]
    return MissingExtraError(_message(EXTRA_OF[name], [name])) if name in EXTRA_OF else error


def _message(extra: str, missing: list[str]) -> str:
    return f'{" and ".join(missing)} not installed: run pip install "protoxai[{extra}]"'
