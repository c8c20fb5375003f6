"""Checkpoints that survive a crash at any moment."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any

import torch

from protoxai.runtime.checks import AT_LEAST_ONE, shown, whole
from protoxai.runtime.files import read_text, write_file
from protoxai.runtime.torch_files import load_plain
from protoxai.training.recipes.yaml_files import RunError

State = dict[str, Any]
DIGEST = ".sha256"
FORMAT = 2
# Parts of a checkpoint by type; 0.1.0 had no others.
PARTS: dict[str, type | tuple[type, ...]] = {
    "recipe": dict,
    "stage": int,
    "part": str,
    "structure": (dict, type(None)),
    "model": dict,
    "provenance": (list, type(None)),
    "rows": list,
    "training": (dict, type(None)),
}


class Checkpoints:
    """The checkpoints of a run, newest last by name.

    Each is written to a temporary file, flushed, and renamed, with a checksum; a damaged one is
    skipped for the one before. They hold tensors and plain values only, and reading them executes
    no code.

    Args:
        folder: Folder of the checkpoints, made with the first one.
        keep: Number of checkpoints to keep within a stage; those at a stage's end are all kept.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, stage: int, step: int | None, state: State) -> Path:
        """Write a checkpoint.

        Args:
            stage: Number of the stage.
            step: Number of optimizer steps done in the stage; None after its training.
            state: Tensors and plain values.

        Raises:
            RunError: If it cannot be written, for example because the disk is full.
        """
        name = f"stage{stage:02d}-" + ("end" if step is None else f"step{step:08d}")
        path = self.folder / f"{name}.pt"
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, **state}, buffer)
        content = buffer.getvalue()
        try:
            write_file(path, content)
            write_file(path.with_suffix(DIGEST), hashlib.sha256(content).hexdigest())
        except OSError as error:
            newest = max(self.paths(), default=None)
            intact = f"; the last checkpoint, {newest}, is intact" if newest else ""
            raise RunError(
                f"the checkpoint {path} could not be written ({error.strerror}){intact}: free some "
                "space, or choose another output folder, and continue with --resume"
            ) from error
        self._prune(stage)
        return path

    def newest(self) -> State | None:
        """Return the newest checkpoint that is intact, or None.

        Raises:
            RunError: If it is of a later version.
        """
        for path in sorted(self.paths(), reverse=True):
            try:
                state = _read(path)
            except (OSError, TypeError, ValueError) as error:
                warnings.warn(
                    f"the checkpoint {path} is damaged ({error}): trying the one before",
                    stacklevel=2,
                )
                continue
            if state.pop("format", 1) > FORMAT:
                raise RunError(
                    f"the checkpoint {path} is of a later version of protoxai: update protoxai, or "
                    "choose another output folder"
                )
            return state
        return None

    def paths(self) -> list[Path]:
        """Return the files of the checkpoints, intact or not."""
        return list(self.folder.glob("stage*.pt"))

    def _prune(self, stage: int) -> None:
        inside = sorted(self.folder.glob("stage*-step*.pt"))
        last = self.folder / f"stage{stage:02d}-end.pt"
        gone = inside[:-1] if last.exists() else inside[: -self.keep]
        for path in gone:
            path.unlink()
            path.with_suffix(DIGEST).unlink(missing_ok=True)


def _read(path: Path) -> State:
    """Return the content of a checkpoint, or raise ``ValueError`` if it is not that of one."""
    content = path.read_bytes()
    digest = read_text(path.with_suffix(DIGEST)).strip()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError("its checksum differs")
    state = load_plain(content, "it")
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}, expected the state of a run")
    number = whole("format", state.get("format", 1), AT_LEAST_ONE)
    for key, kind in PARTS.items() if number <= FORMAT else ():
        if key not in state or not isinstance(state[key], kind):
            found = shown(state[key]) if key in state else "missing"
            raise ValueError(f"{key} is {found}, expected the {key} of a run")
    return state
