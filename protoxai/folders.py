"""The model folder: weights as safetensors, everything else as JSON; nothing is ever executed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from torch import Tensor

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
PROVENANCE = "provenance.json"


def write_folder(folder: str | Path, files: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write JSON files and the weights, each complete or not at all.

    Args:
        folder: made if missing.
        files: name -> content that JSON can hold.
        tensors: name -> tensor of any device.
    """
    from safetensors.torch import save

    folder = Path(folder)
    # Cloned, because tied weights share memory, which the format does not allow.
    weights = save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})
    texts = {name: json.dumps(content, indent=1) + "\n" for name, content in files.items()}
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / WEIGHTS, weights)
    for name, text in texts.items():
        _replace(folder / name, text.encode())


def read_folder(source: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the JSON files by name, and the weights.

    Args:
        source: a folder, or a hub id ``owner/name``, which is downloaded.

    Raises:
        ValueError: if there is no such folder, or a file of it is missing or damaged.
    """
    from safetensors.torch import load_file

    folder = Path(source) if Path(source).is_dir() else _download(str(source))
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder} holds no {' and no '.join(missing)}: expected a folder written by "
            "save_pretrained"
        )
    try:
        documents = [folder / name for name in (CONFIG, PROVENANCE)]
        files = {path.name: json.loads(path.read_text()) for path in documents if path.is_file()}
        tensors = load_file(folder / WEIGHTS)
    except Exception as error:
        raise ValueError(f"{folder} is damaged ({error}): save the model again") from error
    if not isinstance(files[CONFIG], dict):
        raise ValueError(f"{folder} is damaged ({CONFIG} is no mapping): save the model again")
    return files, tensors


def _download(source: str) -> Path:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise ValueError(
            f"there is no folder {source}: expected a folder written by save_pretrained, or a hub "
            "id owner/name"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, allow_patterns=[CONFIG, PROVENANCE, WEIGHTS]))
    except Exception as error:
        raise ValueError(
            f"{source} is no folder here, and as a hub id it could not be downloaded: {error}"
        ) from error


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
