"""Checkpoints that survive a crash at any moment."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any

import torch

from protoxai.runtime.files import write_file
from protoxai.training.recipes.yaml_files import RunError

State = dict[str, Any]
DIGEST = ".sha256"


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
        torch.save(state, buffer)
        content = buffer.getvalue()
        try:
            write_file(path, content)
            write_file(path.with_suffix(DIGEST), hashlib.sha256(content).hexdigest())
        except OSError as error:
            newest = max(self.paths(), default=None)
            intact = f"; the last checkpoint, {newest}, is intact" if newest else ""
            raise RunError(
                f"the checkpoint {path} could not be written ({error}){intact}: free some "
                "space, or choose another output folder, and continue with --resume"
            ) from error
        self._prune(stage)
        return path

    def newest(self) -> State | None:
        """Return the newest checkpoint that is intact, or None."""
        for path in sorted(self.paths(), reverse=True):
            try:
                content = path.read_bytes()
                digest = path.with_suffix(DIGEST).read_text()
                if hashlib.sha256(content).hexdigest() != digest:
                    raise ValueError("its checksum differs")
                state: State = torch.load(io.BytesIO(content), weights_only=True)
            except Exception as error:
                warnings.warn(
                    f"the checkpoint {path} is damaged ({error}): trying the one before",
                    stacklevel=2,
                )
            else:
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
