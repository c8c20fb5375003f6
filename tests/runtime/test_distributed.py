"""Process groups begin and end with the block that asks for one."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from torch import distributed

from protoxai.runtime.distributed import (
    check_own_gpus,
    gather,
    is_distributed,
    mean_over_processes,
    process_group,
    rank,
    world_size,
)

RUNS = 8
# A group that is alive at exit aborts the interpreter only now and then; the check always fails.
WORKER = dedent(
    """
    import atexit, os, sys, time
    from pathlib import Path
    from torch import distributed
    from protoxai.runtime.distributed import gather, process_group, rank

    written, mode = Path(sys.argv[1]), sys.argv[2]
    atexit.register(lambda: distributed.is_initialized() and os._exit(3))
    with process_group():
        with process_group():
            assert gather(rank()) == [0, 1]
        assert distributed.is_initialized()
        if mode == "error":
            raise ValueError("an error of both processes")
        if rank() == 0:
            time.sleep(0.2)
            written.write_text("the first process's result")
    assert written.exists()
    """
)


@pytest.fixture
def _launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a launched process, whose group has this process as its only member."""
    begin: Callable[..., None] = distributed.init_process_group

    def alone(backend: str) -> None:
        store = f"file://{tmp_path / 'store'}"
        begin(backend, init_method=store, rank=0, world_size=1)

    launched = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "init_process_group", alone)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_process_alone_begins_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group():
        assert not is_distributed()
        assert (rank(), world_size(), gather("x")) == (0, 1, ["x"])
        assert mean_over_processes(torch.tensor(6.0), torch.tensor(4.0)) == 1.5


@pytest.mark.usefixtures("_launched")
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_the_group_ends_on_every_way_out(error: type[BaseException] | None) -> None:
    def work() -> None:
        with process_group():
            assert is_distributed()
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(error):
            work()
    assert not is_distributed()


@pytest.mark.usefixtures("_launched")
def test_only_the_outermost_block_ends_the_group() -> None:
    with process_group():
        for _ in range(2):
            with process_group():
                assert gather(1) == [1]
            assert is_distributed()
        with pytest.raises(ValueError, match="inner"), process_group():
            raise ValueError("inner")
        assert is_distributed()
    assert not is_distributed()


@pytest.mark.usefixtures("_launched")
def test_a_group_of_the_caller_is_left_alone() -> None:
    distributed.init_process_group("gloo")
    try:
        with process_group():
            pass
        assert is_distributed()
    finally:
        distributed.destroy_process_group()


@pytest.mark.usefixtures("_launched")
def test_processes_on_gpus_compare_them_before_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = distributed.init_process_group

    def refuse() -> None:
        assert is_distributed()
        raise ValueError("the same GPU")

    own = torch.device("cuda", 0)
    monkeypatch.setattr("protoxai.runtime.distributed.own_device", lambda: own)
    monkeypatch.setattr("protoxai.runtime.distributed.check_own_gpus", refuse)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(distributed, "init_process_group", lambda backend: begin("gloo"))
    with pytest.raises(ValueError, match="the same GPU"), process_group():
        pytest.fail("the block has begun")
    assert not is_distributed()


def compare_gpus(number: int, port: int, gpus: list[str], folder: Path) -> None:
    """Write what a process of two finds out about its GPU and the other's."""
    variables = {"RANK": number, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in variables.items()})
    found = "different"
    with process_group():
        try:
            check_own_gpus(lambda: ("node7", gpus[number]))
        except ValueError as error:
            found = str(error)
    (folder / str(number)).write_text(found)


@pytest.mark.parametrize(
    ("gpus", "found"),
    [
        (["GPU-a", "GPU-b"], "different"),
        (
            ["GPU-a", "GPU-a"],
            r"the processes 0, 1 have the same GPU \(GPU-a of node7\): start at .*",
        ),
    ],
)
def test_two_processes_with_one_gpu_are_refused(
    gpus: list[str], found: str, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(compare_gpus, (port, gpus, tmp_path), nprocs=2)
    for number in (0, 1):
        assert re.fullmatch(found, (tmp_path / str(number)).read_text())


@pytest.mark.slow
def test_many_short_runs_of_two_processes_exit_cleanly(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    runs = [(tmp_path / f"written{number}", "return") for number in range(RUNS)]
    done = launch(worker, *runs)
    assert done.returncode == 0, done.stderr[-2000:]
    failed = launch(worker, (tmp_path / "never", "error"))
    assert "an error of both processes" in failed.stderr
    assert "exitcode  : 1 " in failed.stderr


def launch(worker: Path, *runs: tuple[Path, str]) -> subprocess.CompletedProcess[str]:
    """Run two processes for each of the runs, one run after another, as `torchrun` does."""
    commands = [
        ["--standalone", "--nproc-per-node=2", str(worker), str(written), mode]
        for written, mode in runs
    ]
    script = "import sys; from torch.distributed.run import main\n"
    script += f"for command in {commands!r}: main(command)"
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
