"""Writing of model folders, as a whole."""

from __future__ import annotations

import errno
import json
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from protoxai.folders.layout import (
    CONFIG,
    FORMAT,
    PICTURES,
    PROTOTYPES,
    PROVENANCE,
    WEIGHTS,
    digest_of,
    is_document,
    sha256,
)
from protoxai.runtime.checks import shown
from protoxai.runtime.files import folder_path, to_json, write_file

_SAVING = threading.Lock()
# Pictures of an earlier model, and parts of one whose saving was interrupted.
_EARLIER_PICTURE = re.compile(r"\d{5,9}\.webp(\.\d+\.part)?")


def write_folder(
    folder: str | Path,
    documents: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    binaries: Mapping[str, bytes] | None = None,
) -> None:
    """Write a model folder, ``config.json`` with the digests of the other files last.

    An interrupted write leaves the old folder, or one that :class:`ModelFolder` refuses. Pictures
    that an earlier model has left in the folder are removed.

    Args:
        folder: Folder, created if missing.
        documents: Content of each JSON file by name, ``config.json`` among them.
        tensors: Weights by name, on any device.
        binaries: Content of what the projection keeps, by file name; None for nothing.

    Raises:
        ValueError: If a document has no plain name that ends in ``.json``.
        TypeError: If a document is not plain values.
        OSError: If the folder cannot be written.
    """
    from safetensors.torch import save

    folder = folder_path("folder", folder)
    for name in documents:
        if not is_document(name):
            raise ValueError(
                f"a document is called {shown(name)}, expected a plain file name such as "
                "training.json"
            )
    # Tied weights share memory, which the format does not allow, so all are cloned.
    weights = save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})
    files = {WEIGHTS: weights, **(binaries or {})}
    for name, content in documents.items():
        if name != CONFIG:
            files[name] = to_json(content).encode()
    config = {"format": FORMAT, **documents[CONFIG]}
    config["files"] = {name: sha256(content) for name, content in files.items()}
    config["digest"] = digest_of(json.loads(to_json(config)))
    with _SAVING, _explained(folder):
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "there is a file of that name", str(folder))
        for name, content in files.items():
            write_file(folder / name, content)
        _remove_earlier(folder, files)
        write_file(folder / CONFIG, to_json(config))


def _remove_earlier(folder: Path, files: Collection[str]) -> None:
    """Remove what an earlier model's projection has kept in a folder, which may be private."""
    for name in (PROTOTYPES, PROVENANCE):
        if name not in files:
            (folder / name).unlink(missing_ok=True)
    pictures = folder / PICTURES
    if not pictures.is_dir():
        return
    for path in pictures.iterdir():
        if _EARLIER_PICTURE.fullmatch(path.name) and f"{PICTURES}/{path.name}" not in files:
            path.unlink()
    if not any(pictures.iterdir()):
        pictures.rmdir()


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
