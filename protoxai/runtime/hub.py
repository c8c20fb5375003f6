"""Folders from the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from protoxai.runtime.files import FileError


def download(source: str, files: Sequence[str]) -> Path:
    """Return the local copy of a model of the hub.

    Args:
        source: Hub id ``owner/name``.
        files: Names of the files, which may hold ``*``.

    Raises:
        FileError: If this is no hub id, or it cannot be downloaded.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise FileError(
            f"there is no folder {source}: expected a folder written by save_pretrained, or a hub "
            "id owner/name"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, allow_patterns=list(files)))
    except Exception as error:
        raise FileError(
            f"{source} is not a folder, and as a hub id it could not be downloaded: {error}"
        ) from error
