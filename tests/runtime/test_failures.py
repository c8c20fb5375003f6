"""What the user can fix is one line; a bug is none, so that its traceback is kept."""

from __future__ import annotations

import errno
import os
import signal
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import distributed
from torch.utils.data import DataLoader, Dataset

from protoxai.data import FolderDataset
from protoxai.runtime.checks import positive
from protoxai.runtime.failures import explained, is_own
from protoxai.runtime.files import FileError


def error_of(call: Any, *arguments: Any) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        call(*arguments)
    return caught.value


def test_errors_that_the_library_raises_are_its_own() -> None:
    assert explained(error_of(positive, "steps", 0)) == (
        "steps is 0, expected a whole number of at least 1"
    )
    assert is_own(error_of(positive, "steps", "x"))
    assert is_own(FileError("of a class of the library, wherever it is raised"))


def bug() -> None:
    raise ValueError("not of the library")


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (bug, ()),
        (int, ("x",)),
        (torch.nn.Conv2d, (3, 5, 1, 1, 0, 1, 2)),
        (positive, ("a name, but no value",)),
        (FolderDataset, ("somewhere", "train", "an argument too many")),
        ([].pop, ()),
    ],
)
def test_errors_of_others_are_bugs(call: Any, arguments: tuple[Any, ...]) -> None:
    assert explained(error_of(call, *arguments)) is None


def test_an_error_in_an_expression_of_the_library_is_a_bug() -> None:
    class Odd(str):
        __slots__ = ()

        def __format__(self, _: str) -> str:
            return int("x")  # type: ignore[return-value]

    assert explained(error_of(positive, Odd("steps"), 0)) is None


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.ENOSPC, "No space left on device: free some space"),
        (errno.EROFS, "Read-only file system: choose a folder that can be written to"),
        (errno.EACCES, "Permission denied: check its permissions"),
        (errno.ENOTDIR, "Not a directory: choose another folder"),
        (errno.EISDIR, "Is a directory: give the path of a file"),
    ],
)
def test_an_error_of_a_file_names_path_and_fix(number: int, fix: str) -> None:
    message = explained(OSError(number, os.strerror(number), "/data/übung.png"))
    assert message is not None
    assert message.startswith(f"/data/übung.png: {fix}")
    assert "\n" not in message


class Images(Dataset[Any]):
    """A data set whose items are read in a way that fails."""

    def __init__(self, path: Path, how: str) -> None:
        self.path = path
        self.how = how

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "own":
            positive("the size of image 7", 0)
        if self.how == "bug":
            int("x")
        return Image.open(self.path)


def worker_error(path: Path, how: str) -> BaseException:
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside threads.
        warnings.simplefilter("ignore")
        return error_of(list, DataLoader(Images(path, how), num_workers=1))


def test_an_error_in_a_worker_is_that_of_the_worker(tmp_path: Path) -> None:
    message = explained(worker_error(tmp_path, "own"))
    assert message == "the size of image 7 is 0, expected a whole number of at least 1"
    path = tmp_path / "image.png"
    path.write_bytes(b"no image")
    assert explained(worker_error(path, "read")) == f"cannot identify image file '{path}'"
    missing = explained(worker_error(tmp_path / "none.png", "read"))
    assert missing == f"[Errno 2] No such file or directory: '{tmp_path / 'none.png'}'"
    assert explained(worker_error(path, "bug")) is None


def test_a_killed_worker_is_named_with_the_likely_reason(tmp_path: Path) -> None:
    message = explained(worker_error(tmp_path, "killed"))
    assert message is not None
    assert "worker process that loads images (pid " in message
    assert "most likely because memory ran out: lower data.workers" in message


def test_a_worker_that_exited_is_named_too() -> None:
    message = explained(RuntimeError("DataLoader worker (pid(s) 1, 2) exited unexpectedly"))
    assert message is not None
    assert "(pid 1, 2) exited unexpectedly, most likely because memory ran out" in message
    assert explained(RuntimeError("expected scalar type Float")) is None


NCCL = """NCCL error in: /pytorch/torch/csrc/NCCLUtils.cpp:77, invalid usage, NCCL version 2.27.3
ncclInvalidUsage: This usually reflects invalid usage of NCCL library.
Last error:
Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1a000
Exception raised from create at /pytorch/torch/csrc/NCCLUtils.cpp:77"""
GLOO = (
    "[/__w/gloo/gloo/transport/tcp/pair.cc:545] Read error [127.0.0.1]:9632: Connection reset by "
    "peer. This is typically caused by a remote worker hanging. GLHF!"
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (distributed.DistBackendError(NCCL), "Duplicate GPU detected : rank 1 and rank 0 both on "),
        (distributed.DistNetworkError("Connection closed\n#0: x"), "Connection closed)"),
        (RuntimeError(GLOO), "Read error [127.0.0.1]:9632: Connection reset by peer)"),
    ],
)
def test_a_failed_connection_says_what_to_do(error: RuntimeError, reason: str) -> None:
    message = explained(error)
    assert message is not None
    assert message.startswith(
        f"this process cannot communicate with the others of the run ({reason}"
    )
    assert "if one of them has failed, see its own message; otherwise check" in message
    assert "\n" not in message
