"""Model folders: weights as safetensors, everything else as JSON; loading executes no code."""

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
    """Write JSON files and the weights; an interrupted write leaves no incomplete file.

    Args:
        folder: Folder, created if missing.
        files: Content of each JSON file by name.
        tensors: Weights by name, on any device.
    """
    from safetensors.torch import save

    folder = Path(folder)
    # Tied weights share memory, which the format does not allow, so all are cloned.
    weights = save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})
    texts = {name: json.dumps(content, indent=1) + "\n" for name, content in files.items()}
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / WEIGHTS, weights)
    for name, text in texts.items():
        _replace(folder / name, text.encode())


def read_folder(source: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a model folder.

    Args:
        source: Folder, or a hub id ``owner/name``, which is downloaded.

    Returns:
        The content of each JSON file by name, and the weights by name.

    Raises:
        ValueError: If the folder does not exist, or one of its files is missing or damaged.
    """
    from safetensors.torch import load_file

    folder = Path(source) if Path(source).is_dir() else _download(str(source))
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder} holds no {' and no '.join(missing)}, expected a folder written by "
            "save_pretrained"
        )
    try:
        documents = [folder / name for name in (CONFIG, PROVENANCE)]
        files = {path.name: json.loads(path.read_text()) for path in documents if path.is_file()}
        tensors = load_file(folder / WEIGHTS)
    except Exception as error:
        raise ValueError(f"{folder} is damaged ({error}): save the model again") from error
    if not isinstance(files[CONFIG], dict):
        raise ValueError(f"{folder} is damaged ({CONFIG} is not a mapping): save the model again")
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
            f"{source} is not a folder, and as a hub id it could not be downloaded: {error}"
        ) from error


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
