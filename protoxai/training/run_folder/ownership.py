"""The lock of a run folder: one run at a time."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from protoxai.runtime.distributed import rank
from protoxai.runtime.files import FileError, read_json, to_json
from protoxai.training.recipes.yaml_files import RunError

LOCK = "run.lock"
_owned: set[Path] = set()


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Own a run folder while the block runs: other processes are refused.

    The lock is a file with the process and its host. That of a process of this host which has
    ended, even by SIGKILL, is taken over. Blocks of one process may be nested; of several
    processes under ``torchrun``, the first one owns the folder.

    Args:
        folder: Run folder, made if it is missing, and then removed again if it stays empty.

    Raises:
        RunError: If another process owns the folder.
    """
    lock = (folder / LOCK).resolve()
    if rank() != 0 or lock in _owned:
        yield
        return
    missing = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    own = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "process_start": _process_start(os.getpid()),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    _acquire(lock, to_json(own))
    _owned.add(lock)
    try:
        yield
    finally:
        _owned.discard(lock)
        # Somebody may have removed the lock, and another run may own the folder since.
        if _owner(lock) == own:
            lock.unlink()
        if missing:
            # It stays if it holds anything.
            with suppress(OSError):
                folder.rmdir()


def _acquire(lock: Path, content: str) -> None:
    """Make the lock; two processes that try at the same time do not both succeed."""
    for attempt in range(2):
        try:
            with lock.open("x", encoding="utf-8") as file:
                file.write(content)
            return
        except FileExistsError:
            owner = _owner(lock)
            if attempt or not _has_ended(owner):
                raise RunError(_refusal(lock, owner)) from None
            lock.unlink(missing_ok=True)


def _owner(lock: Path) -> dict[str, Any] | None:
    """Return the content of a lock, or None if it is missing or says nothing."""
    try:
        content = read_json(lock)
    except (FileError, FileNotFoundError):
        return None
    pid = content.get("pid") if isinstance(content, dict) else None
    return content if isinstance(pid, int) and pid > 0 else None


def _has_ended(owner: dict[str, Any] | None) -> bool:
    if owner is None or owner.get("host") != socket.gethostname():
        return False
    try:
        os.kill(owner["pid"], 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    # Another process may have its number by now.
    return owner.get("process_start") != _process_start(owner["pid"])


def _process_start(pid: int) -> int | None:
    """Return when a process started, in the system's own unit.

    None if it has ended, though nobody has noted its exit yet, or the system does not know.
    """
    try:
        # After the program's name in parentheses: the state, and 19 fields on the time.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] == "Z" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _refusal(lock: Path, owner: dict[str, Any] | None) -> str:
    if owner is None:
        return (
            f"{lock.parent} is locked, but {lock} does not say by which process: if no run uses "
            f"the folder, remove the lock (rm '{lock}')"
        )
    where = f"process {owner['pid']} on {owner.get('host')}, since {owner.get('since')}"
    if owner.get("host") == socket.gethostname():
        return (
            f"{lock.parent} is used by another run ({where}): wait for it, stop it, or choose "
            "another output folder"
        )
    return (
        f"{lock.parent} is used by a run on another host ({where}): choose another output folder, "
        f"or, if that run has ended, remove its lock (rm '{lock}')"
    )
