"""The files of a model folder, and the digests that hold them together."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
PROVENANCE = "provenance.json"
PALETTE = "palette.json"
"""Colour of each class in pictures."""
PROTOTYPES = "prototypes.safetensors"
"""What the projection keeps as tensors: distances to pixels of the class, windows, activations."""
PICTURES = "prototypes"
"""Folder of the prototypes' pictures, ``00012.webp`` and so on."""
FORMAT = 2
FORMATS = (1, FORMAT)
BOOKKEEPING = ("format", "files", "digest")
"""Keys of config.json that belong to the folder; format 1 had the first alone."""
_DOCUMENT = re.compile(r"[\w-][\w.-]*\.json")
_PICTURE = re.compile(rf"{PICTURES}/(\d{{5,9}})\.webp")
DIGEST = re.compile(r"[0-9a-f]{64}")


def is_document(name: object) -> bool:
    """Return whether a JSON file may have a name, such as ``training.json``."""
    return isinstance(name, str) and _DOCUMENT.fullmatch(name) is not None


def picture_name(index: int) -> str:
    """Return the name of the picture of a prototype.

    Args:
        index: Index of the prototype.

    Example:
        >>> picture_name(12), picture_index("prototypes/00012.webp"), picture_index("../12.webp")
        ('prototypes/00012.webp', 12, None)
    """
    return f"{PICTURES}/{index:05}.webp"


def picture_index(name: str) -> int | None:
    """Return the index of the prototype whose picture has a name; None if it is no such name."""
    match = _PICTURE.fullmatch(name)
    return int(match[1]) if match and picture_name(int(match[1])) == name else None


def is_binary(name: object) -> bool:
    """Return whether a file beside the weights holds what a projection keeps."""
    return name == PROTOTYPES or (isinstance(name, str) and picture_index(name) is not None)


def sha256(content: bytes) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(content).hexdigest()


def digest_of(config: Mapping[str, Any]) -> str:
    """Return the digest of a configuration, whatever the order and layout of its text."""
    return sha256(json.dumps(config, sort_keys=True).encode())
