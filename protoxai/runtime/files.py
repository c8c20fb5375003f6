"""Text and JSON files: UTF-8 whatever the locale, written as a whole or not at all."""

from __future__ import annotations

import io
import json
import math
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protoxai.runtime.checks import shown
from protoxai.runtime.console import PLAIN, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FileError(ValueError):
    """A file cannot be read as what it should be."""


def regular_file(path: str | Path) -> Path:
    """Return the path of a regular file: to read a pipe may block, and a device may never end.

    Args:
        path: Path of the file.

    Raises:
        FileError: If there is no such file, or it is a folder, a pipe, a socket or a device.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} cannot be read ({reason}): check the path") from None
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(mode), "a device")
        raise FileError(f"{path} is {kind}, expected a file: replace or remove it")
    return Path(path)


def folder_path(name: str, value: str | os.PathLike[str]) -> Path:
    """Return the path of a folder; an empty text, which would be the current folder, is an error.

    Args:
        name: Name of the argument, for the error.
        value: Its value.

    Raises:
        TypeError: If the value is no path.
        ValueError: If it is empty.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} is {shown(value)}, expected the path of a folder")
    if value == "":
        raise ValueError(f'{name} is empty, expected the path of a folder: "." is the current one')
    return Path(value)


def write_file(path: str | Path, content: bytes | str) -> None:
    """Write a file as a whole: whoever reads it finds the old content or the new, never a part.

    Args:
        path: File to write; its folder is made if it is missing.
        content: Content; text is written in UTF-8, with line ends as they are. Names of files that
            the locale could not decode are written as UTF-8 too.

    Raises:
        OSError: If the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name for each process: two that write the same file must not share the part.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content.encode("utf-8", PLAIN) if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            # A full disk does not name the file.
            error.filename, error.filename2 = str(path), None
        raise


def write_picture(path: str | Path, figure: Figure, source: str = "") -> None:
    """Write a matplotlib figure as PNG, with 110 pixels to the inch.

    Args:
        path: File to write.
        figure: Figure to draw.
        source: Text that says of what the picture is, for :func:`picture_source`.
    """
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png", metadata={"Source": source})
    write_file(path, picture.getvalue())


def picture_source(path: str | Path) -> str | None:
    """Return of what a picture is, as :func:`write_picture` noted it; None if there is none."""
    from PIL import Image

    try:
        with Image.open(regular_file(path)) as picture:
            source: str | None = picture.info.get("Source")
            return source
    except (OSError, ValueError, SyntaxError):
        return None


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8, with or without byte order mark.

    Args:
        path: File to read.

    Raises:
        FileError: If the file is not UTF-8.
        OSError: If it cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path} is not UTF-8 (byte {content[error.start]:#04x} at position {error.start}): "
            "save it as UTF-8"
        ) from None


def to_json(content: Any, *, indent: int | None = 1) -> str:
    """Return content as JSON, with null for numbers that are not finite, which JSON does not have.

    Args:
        content: Plain values, NumPy values and paths.
        indent: Number of spaces per level; None for a single line.

    Example:
        >>> print(to_json({"mean_iou": float("nan"), "classes": ("sky",)}, indent=None))
        {"mean_iou": null, "classes": ["sky"]}
        <BLANKLINE>
    """
    return json.dumps(_plain(content), indent=indent, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(path: str | Path, content: Any) -> None:
    """Write content as JSON (see :func:`to_json` and :func:`write_file`)."""
    write_file(path, to_json(content))


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Args:
        path: File to read.

    Raises:
        FileError: If the file is no JSON, or nested too deeply.
        OSError: If it cannot be read.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # Numbers of thousands of digits are no JSON.
        raise FileError(f"{path} is no JSON ({error}): restore or remove it") from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if type(value).__module__ == "numpy":
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | Path):
        return plain(str(value), "utf-8")
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"{shown(value)} is a {type(value).__name__}, which JSON cannot hold")
