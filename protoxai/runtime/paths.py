"""Paths that users give: the home folder and variables in them are replaced."""

from __future__ import annotations

import os
import re
from pathlib import Path

from protoxai.runtime.checks import shown


def expanded(path: str | Path, name: str = "root") -> Path:
    """Return a path in which ``~`` and variables (``$NAME``, ``${NAME}``) are replaced.

    Args:
        path: Path that the user gave; one that exists with a ``$`` in its name is kept.
        name: Name of the argument, for the error.

    Raises:
        TypeError: If it is no path.
        ValueError: If it is empty, or a variable or the user of ``~`` is unknown.

    Example:
        >>> os.environ["SCANS"] = "/data/scans"
        >>> expanded("$SCANS/2020").as_posix()
        '/data/scans/2020'
    """
    if not isinstance(path, str | Path):
        raise TypeError(f"{name} is {shown(path)} ({type(path).__name__}), expected a path")
    text = str(path)
    if not text:
        raise ValueError(f"{name} is empty: give a path, '.' for the current folder")
    if "\0" in text:
        raise ValueError(f"{name} is {shown(text)}, expected a path without the character 0")
    names = [] if os.path.lexists(text) else re.findall(r"\$(\w+|\{[^}]*\})", text)
    for variable in (found.strip("{}") for found in names):
        if variable not in os.environ:
            raise ValueError(
                f"{name} is {text}, but there is no environment variable {variable}: set it, or "
                "write the folder's name instead"
            )
    try:
        return Path(os.path.expandvars(text) if names else text).expanduser()
    except RuntimeError:
        raise ValueError(
            f"{name} is {text}, but there is no such user: write the home folder's name instead "
            "of ~"
        ) from None
