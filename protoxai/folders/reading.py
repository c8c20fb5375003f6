"""Reading of model folders, which executes no code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from protoxai.folders.layout import (
    BOOKKEEPING,
    CONFIG,
    DIGEST,
    FORMATS,
    PICTURES,
    PROTOTYPES,
    PROVENANCE,
    WEIGHTS,
    digest_of,
    is_binary,
    is_document,
    sha256,
)
from protoxai.runtime.checks import shown
from protoxai.runtime.files import FileError, folder_path
from protoxai.runtime.finite import not_finite
from protoxai.runtime.hub import download

HUB_FILES = ("*.json", WEIGHTS, PROTOTYPES, f"{PICTURES}/*.webp")
MOST_PICTURE_BYTES = 2**20
"""Size of a file of a picture beyond which it is not read."""


def read_folder(source: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a model folder, checked as a whole.

    Args:
        source: Folder, or a hub id ``owner/name``, which is downloaded.

    Returns:
        The content of each JSON file by name, and the weights by name.

    Raises:
        FileError: If the folder does not exist, or is incomplete, altered, mixed or of another
            format.
    """
    folder = ModelFolder.open(source)
    documents, tensors = folder.read()
    return {CONFIG: folder.config, **documents}, tensors


@dataclass(frozen=True)
class ModelFolder:
    """A model folder of which ``config.json`` has been read.

    Attributes:
        path: Path of the folder.
        format: Number of its format: 1, or 2 with the digests of all files.
        config: Content of ``config.json`` without what concerns the folder itself.
        digests: SHA-256 of each other file by name; in format 1 None.
        altered: Whether ``config.json`` has changed since it was written.
    """

    path: Path
    format: int
    config: dict[str, Any]
    digests: dict[str, str] | None
    altered: bool

    @classmethod
    def open(cls, source: str | Path) -> Self:
        """Read ``config.json`` of a folder.

        Args:
            source: Folder, or a hub id ``owner/name``, which is downloaded.

        Raises:
            FileError: If there is no such folder, or the file is missing, damaged or of an unknown
                format.
        """
        path = folder_path("source", source)
        path = path if path.is_dir() else download(str(source), HUB_FILES)
        missing = [name for name in (CONFIG, WEIGHTS) if not (path / name).is_file()]
        if missing:
            inside = path / "model"
            hint = f": {inside} is one" if (inside / CONFIG).is_file() else ""
            raise FileError(
                f"{path} holds no {' and no '.join(missing)}, expected a folder written by "
                f"save_pretrained{hint}"
            )
        config = _parse(path, CONFIG, (path / CONFIG).read_bytes())
        if not isinstance(config, dict):
            raise damaged(path, CONFIG, f"it is {shown(config)}, expected a mapping")
        number = config.get("format", "missing")
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise damaged(path, CONFIG, f"format is {shown(number)}, expected one of {FORMATS}")
        if number not in FORMATS:
            raise FileError(
                f"{path} ({CONFIG}) has the format {number}, but this version of protoxai reads "
                f"the formats {FORMATS}: update protoxai"
            )
        own = BOOKKEEPING[:1] if number == 1 else BOOKKEEPING
        content = {key: value for key, value in config.items() if key not in own}
        if number == 1:
            return cls(path, number, content, None, altered=False)
        digests = _check_digests(path, config.get("files"))
        altered = config.pop("digest", None) != digest_of(config)
        return cls(path, number, content, digests, altered)

    def read(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Read and check all other files.

        Returns:
            The content of each document by name, and the weights by name.

        Raises:
            FileError: If a file is missing or damaged, or is not the one that was saved.
        """
        names = list(self.digests) if self.digests else [WEIGHTS, PROVENANCE]
        documents = {
            name: _parse(self.path, name, self._content(name))
            for name in names
            if is_document(name) and (self.digests or (self.path / name).is_file())
        }
        return documents, self._tensors()

    def binaries(self) -> dict[str, bytes]:
        """Read and check the files beside the weights that hold what a projection keeps.

        Returns:
            Content by name; nothing if the folder was saved without them.

        Raises:
            FileError: If a file is missing or damaged, or is not the one that was saved.
        """
        return {name: self._content(name) for name in self.digests or () if is_binary(name)}

    def document(self, name: str) -> Any:
        """Read and check one of the JSON files; return None if the folder was saved without it.

        Args:
            name: Name of the file.

        Raises:
            FileError: If the file is missing or damaged, or is not the one that was saved.
        """
        if name not in (self.digests or ()):
            return None
        return _parse(self.path, name, self._content(name))

    def damaged(self, file: str, reason: str) -> FileError:
        """Return the error that one of the files is not as it should be.

        Args:
            file: Name of the file.
            reason: What was found and expected, with the key.
        """
        return damaged(self.path, file, reason)

    def _tensors(self) -> dict[str, Tensor]:
        from safetensors.torch import load

        content = self._content(WEIGHTS)
        try:
            return load(content)
        # The reader raises errors of several types for what is no such file.
        except Exception as error:
            raise self.damaged(WEIGHTS, f"it is no safetensors file: {_line(error)}") from None

    def _content(self, name: str) -> bytes:
        if self.altered:
            raise self.damaged(
                CONFIG, "it has changed since it was saved: its digest is not that of its content"
            )
        # Unlike Path.is_file, it is false for names that no file can have.
        if not os.path.isfile(self.path / name):  # noqa: PTH113
            raise FileError(
                f"{self.path} holds no {name}, which its {CONFIG} lists: copy the whole folder, or "
                "save the model again"
            )
        size = (self.path / name).stat().st_size
        if name.startswith(PICTURES + "/") and size > MOST_PICTURE_BYTES:
            raise self.damaged(name, f"it has {size} bytes, expected a small picture")
        content = (self.path / name).read_bytes()
        if self.digests and sha256(content) != self.digests[name]:
            raise self.damaged(
                name,
                f"it is not the file that {CONFIG} was saved with: its SHA-256 is "
                f"{sha256(content)[:8]}…, expected {self.digests[name][:8]}…; it was altered, "
                "belongs to another model, or its saving was interrupted"
                + (_not_finite(content) if name == WEIGHTS else ""),
            )
        return content


class DamagedFileError(ValueError):
    """The content of a file of a model folder is not what it should be.

    Args:
        file: Name of the file.
        reason: What was found and expected.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(reason)
        self.file = file


@contextmanager
def damaged_in(file: str) -> Iterator[None]:
    """Raise errors about values as those about the file that they are from.

    Args:
        file: Name of the file.

    Raises:
        DamagedFileError: If the block raises a ``TypeError`` or ``ValueError``.
    """
    try:
        yield
    except DamagedFileError:
        raise
    except (TypeError, ValueError) as error:
        raise DamagedFileError(file, str(error)) from None


def damaged(folder: Path, file: str, reason: str) -> FileError:
    """Return the error that a file of a model folder is not as it should be.

    Args:
        folder: Path of the folder.
        file: Name of the file.
        reason: What was found and expected, with the key.
    """
    return FileError(
        f"{folder} is damaged ({file}: {reason}): save the model again, or copy the whole folder "
        "again"
    )


def _not_finite(weights: bytes) -> str:
    """Return what an altered file of weights holds that is never saved, to append to an error."""
    from safetensors.torch import load

    try:
        found = not_finite(load(weights))
    except Exception:
        return ""
    return f"; values of it are NaN or infinite: {found}" if found else ""


def _check_digests(folder: Path, digests: object) -> dict[str, str]:
    if not isinstance(digests, dict) or WEIGHTS not in digests:
        raise damaged(
            folder, CONFIG, f"files is {shown(digests)}, expected the digests of {WEIGHTS} and more"
        )
    for name, digest in digests.items():
        known = name == WEIGHTS or is_binary(name) or (is_document(name) and name != CONFIG)
        if not known or not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise damaged(
                folder,
                CONFIG,
                f"files holds {shown(name)}: {shown(digest)}, expected {WEIGHTS}, JSON files "
                "and what is kept of prototypes, each with its SHA-256",
            )
    return digests


def _parse(folder: Path, name: str, content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise damaged(folder, name, f"it is no JSON: {_line(error)}") from None


def _line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().partition("\n")[0]
