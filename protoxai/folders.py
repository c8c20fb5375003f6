"""Model folders: weights as safetensors, everything else as JSON; loading executes no code."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from protoxai.runtime.checks import shown
from protoxai.runtime.files import FileError, folder_path, to_json, write_file
from protoxai.runtime.finite import not_finite
from protoxai.runtime.hub import download

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
PROVENANCE = "provenance.json"
FORMAT = 2
FORMATS = (1, FORMAT)
# Keys of config.json that belong to the folder; format 1 had the first alone.
BOOKKEEPING = ("format", "files", "digest")
DOCUMENT = re.compile(r"[\w-][\w.-]*\.json")
DIGEST = re.compile(r"[0-9a-f]{64}")
_SAVING = threading.Lock()


def write_folder(
    folder: str | Path, documents: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Write a model folder, ``config.json`` with the digests of the other files last.

    An interrupted write leaves the old folder, or one that :class:`ModelFolder` refuses.

    Args:
        folder: Folder, created if missing.
        documents: Content of each JSON file by name, ``config.json`` among them.
        tensors: Weights by name, on any device.

    Raises:
        ValueError: If a document has no plain name that ends in ``.json``.
        TypeError: If a document is not plain values.
        OSError: If the folder cannot be written.
    """
    from safetensors.torch import save

    folder = folder_path("folder", folder)
    for name in documents:
        if not isinstance(name, str) or not DOCUMENT.fullmatch(name):
            raise ValueError(
                f"a document is called {shown(name)}, expected a plain file name such as "
                "training.json"
            )
    # Tied weights share memory, which the format does not allow, so all are cloned.
    weights = save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})
    files = {WEIGHTS: weights}
    for name, content in documents.items():
        if name != CONFIG:
            files[name] = to_json(content).encode()
    config = {"format": FORMAT, **documents[CONFIG]}
    config["files"] = {name: _sha256(content) for name, content in files.items()}
    config["digest"] = _digest(json.loads(to_json(config)))
    files[CONFIG] = to_json(config).encode()
    with _SAVING, _explained(folder):
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "there is a file of that name", str(folder))
        for name, content in files.items():
            write_file(folder / name, content)


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
        path = path if path.is_dir() else download(str(source), ("*.json", WEIGHTS))
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
        altered = config.pop("digest", None) != _digest(config)
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
            if name != WEIGHTS and (self.digests or (self.path / name).is_file())
        }
        return documents, self._tensors()

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
        if not (self.path / name).is_file():
            raise FileError(
                f"{self.path} holds no {name}, which its {CONFIG} lists: copy the whole folder, or "
                "save the model again"
            )
        content = (self.path / name).read_bytes()
        if self.digests and _sha256(content) != self.digests[name]:
            raise self.damaged(
                name,
                f"it is not the file that {CONFIG} was saved with: its SHA-256 is "
                f"{_sha256(content)[:8]}…, expected {self.digests[name][:8]}…; it was altered, "
                "belongs to another model, or its saving was interrupted"
                + (_not_finite(content) if name == WEIGHTS else ""),
            )
        return content


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
        known = name == WEIGHTS or (DOCUMENT.fullmatch(name) and name != CONFIG)
        if not known or not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise damaged(
                folder,
                CONFIG,
                f"files holds {shown(name)}: {shown(digest)}, expected {WEIGHTS} and JSON files, "
                "each with its SHA-256",
            )
    return digests


def _parse(folder: Path, name: str, content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise damaged(folder, name, f"it is no JSON: {_line(error)}") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(config: Mapping[str, Any]) -> str:
    """Return the digest of a configuration, whatever the order and layout of its text."""
    return _sha256(json.dumps(config, sort_keys=True).encode())


def _line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().partition("\n")[0]


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Say, in an error of the operating system, what could not be saved and what to do."""
    try:
        yield
    except OSError as error:
        message = (
            f"the model could not be saved in {folder} ({error.strerror or error}): free some "
            "space, or choose a folder that can be written"
        )
        raise (OSError(error.errno, message) if error.errno else OSError(message)) from error
