"""MATLAB files."""

from pathlib import Path
from typing import Any

from protoxai.runtime.files import regular_file


def read_mat(path: Path, key: str) -> Any:
    """Return a variable of a MATLAB file, with structures as dicts and arrays of them as lists.

    Args:
        path: Path of a file of version 7 or older.
        key: Name of the variable.

    Raises:
        ValueError: If the file cannot be read or has no such variable.
    """
    from scipy.io import loadmat

    regular_file(path)
    try:
        content = loadmat(path, simplify_cells=True)
    except Exception as error:  # scipy raises errors of many types for damaged files
        raise ValueError(
            f"{path} cannot be read as a MATLAB file ({error}): replace or remove the file"
        ) from error
    if key not in content:
        known = ", ".join(name for name in content if not name.startswith("__"))
        raise ValueError(f"{path} has no variable {key!r}, only {known}: is it the right file?")
    return content[key]
