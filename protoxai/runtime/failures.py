"""What the user can fix of an error; bugs keep their traceback."""

from __future__ import annotations

import dis
import errno
import os
import re
from pathlib import Path

from torch import distributed

PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
RAISE = dis.opmap["RAISE_VARARGS"]

_FROM_WORKER = re.compile(r"Caught \w+ in DataLoader worker process")
_DEAD_WORKER = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (.*)", re.DOTALL)
_GLOO = re.compile(r"\[\S*/gloo/\S+\] (.*)")
_FULL = "free some space, or choose another folder"
_FORBIDDEN = "check its permissions, or choose another folder"
_FIXES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EEXIST: "choose another folder, or remove the file",
    errno.ENOTDIR: "choose another folder, or remove the file that is in its place",
    errno.EISDIR: "give the path of a file",
    errno.ENOENT: "check the path",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or lower data.workers",
    errno.ENOMEM: "lower data.workers or data.batch_size",
    errno.EIO: "check the disk",
}


def is_own(error: BaseException) -> bool:
    """Return whether the library raised an error on purpose, for the user to fix something.

    Such an error is of a class of the library, or a ``ValueError`` or ``TypeError`` from a
    ``raise`` statement of the library. The same errors out of other libraries, or out of an
    expression such as ``int(text)``, are bugs.

    Example:
        >>> try:
        ...     int("x")
        ... except ValueError as error:
        ...     is_own(error)
        False
    """
    if type(error).__module__.partition(".")[0] == "protoxai":
        return True
    traceback = error.__traceback__
    if not isinstance(error, ValueError | TypeError) or traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    return is_own_file(code.co_filename) and code.co_code[traceback.tb_lasti] == RAISE


def explained(error: BaseException) -> str | None:
    """Return what the user can fix, or None for a bug.

    Args:
        error: Any error; those of a loader's worker are given as the worker raised them.
    """
    text = str(error)
    if isinstance(error, RuntimeError) and (dead := _DEAD_WORKER.match(text)):
        return (
            f"a worker process that loads images (pid {dead[1]}) {dead[2].split('. ')[0].strip()}, "
            "most likely because memory ran out: lower data.workers, data.batch_size or "
            "data.evaluation_batch_size"
        )
    if _FROM_WORKER.match(text):
        return _worker_message(error, text)
    if is_own(error):
        return text
    if isinstance(error, distributed.DistError):
        # NCCL's reason follows, after the place in the code and before a trace of C++.
        summary, _, reason = text.partition("Last error:\n")
        return _no_connection((reason or summary).partition("\n")[0])
    if isinstance(error, RuntimeError) and (broken := _GLOO.match(text)):
        return _no_connection(broken[1].partition(". ")[0])
    return _file_message(error) if isinstance(error, OSError) else None


def _no_connection(reason: str) -> str:
    """Return what to do where the processes of a run cannot communicate."""
    return (
        f"this process cannot communicate with the others of the run ({reason.strip()}): if one of "
        "them has failed, see its own message; otherwise check the network and the GPUs (with "
        "NCCL_DEBUG=INFO, NCCL prints what it does)"
    )


def _worker_message(error: BaseException, text: str) -> str | None:
    """Return the message within a worker's traceback, or None if it reports a bug."""
    frame = re.split(r'^ *File "', text, flags=re.MULTILINE)[-1]
    message = re.search(r"^[\w.]+: (.*)", frame, flags=re.MULTILINE | re.DOTALL)
    own = is_own_file(frame) and isinstance(error, ValueError | TypeError)
    if message is None or not (own or isinstance(error, OSError)):
        return None
    return message[1].strip()


def _file_message(error: OSError) -> str:
    """Return the path of a file, what is wrong with it, and the fix, in one line."""
    if error.errno is None:
        return " ".join(str(error).split()) or type(error).__name__
    name = error.filename2 or error.filename
    place = "" if name is None else f"{os.fsdecode(name)}: "
    fix = _FIXES.get(error.errno)
    return f"{place}{error.strerror}" + (f": {fix}" if fix else "")


def is_own_file(file: str) -> bool:
    """Return whether a path, or a text that begins with it, names a file of the library."""
    return file.startswith(PACKAGE)
