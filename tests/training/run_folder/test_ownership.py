"""One run at a time owns a folder; the lock of a process that has ended is taken over."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from protoxai.runtime.files import write_json
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.run_folder.ownership import LOCK, owned

Holder = Callable[..., None]


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def lock(tmp_path: Path) -> Holder:
    """`lock(pid, host)` leaves the lock of such a process."""

    def write(pid: object, host: str = "", **others: object) -> None:
        content = {"pid": pid, "host": host or socket.gethostname(), "since": "then", **others}
        write_json(tmp_path / LOCK, content)

    return write


def test_the_lock_names_the_process_and_goes_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with owned(folder):
        content = json.loads((folder / LOCK).read_text())
        assert content["pid"] == os.getpid()
        assert content["host"] == socket.gethostname()
        with owned(folder):
            pass
        assert (folder / LOCK).is_file()
    assert not (folder / LOCK).exists()


def test_the_lock_goes_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), owned(tmp_path):
        raise KeyboardInterrupt
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize("file", [None, "log.txt"])
def test_a_folder_that_was_made_goes_again_if_it_stays_empty(
    tmp_path: Path, file: str | None
) -> None:
    folder = tmp_path / "run"
    with owned(folder):
        if file:
            (folder / file).touch()
    assert folder.exists() == (file is not None)


def test_an_empty_folder_that_was_there_stays(tmp_path: Path) -> None:
    with owned(tmp_path):
        pass
    assert tmp_path.exists()


def test_a_process_that_lives_is_not_disturbed(tmp_path: Path, lock: Holder) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with owned(tmp_path):
            start = json.loads((tmp_path / LOCK).read_text())["process_start"]
        assert start is None or isinstance(start, int)
        stat = Path(f"/proc/{other.pid}/stat")
        begun = int(stat.read_text().split()[21]) if stat.exists() else None
        lock(other.pid, process_start=begun)
        with (
            pytest.raises(RunError, match=rf"used by another run \(process {other.pid} on .*wait"),
            owned(tmp_path),
        ):
            pass
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == other.pid
        other.communicate(b"\n")


def test_the_lock_of_a_process_that_has_ended_is_taken_over(tmp_path: Path, lock: Holder) -> None:
    lock(ended_process())
    with owned(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="unknown when a process began")
def test_a_number_that_another_process_has_by_now(tmp_path: Path, lock: Holder) -> None:
    lock(os.getppid(), process_start=1)
    with owned(tmp_path):
        pass


def test_another_host_is_refused_with_the_way_to_remove_the_lock(
    tmp_path: Path, lock: Holder
) -> None:
    lock(ended_process(), "node17")
    with (
        pytest.raises(RunError, match=rf"on another host \(process .* node17.*rm '.*{LOCK}'"),
        owned(tmp_path),
    ):
        pass
    assert (tmp_path / LOCK).is_file()


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"pid": -1}', '{"pid": "x"}', "\xff"])
def test_a_lock_that_says_nothing_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_bytes(content.encode("latin-1"))
    with (
        pytest.raises(RunError, match="does not say by which process: if no run uses the folder"),
        owned(tmp_path),
    ):
        pass


def test_the_lock_of_another_run_is_not_removed(tmp_path: Path, lock: Holder) -> None:
    with owned(tmp_path):
        lock(1, "node17")
    assert json.loads((tmp_path / LOCK).read_text())["host"] == "node17"
