"""A signal stops a program where nothing is lost, with one line and the usual exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from protoxai.runtime.stopping import (
    Stopped,
    finish_first,
    listen,
    on_stop,
    stop_requested,
    stoppable,
)


def send(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_raises_with_its_exit_code(
    number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Stopped) as stop, stoppable(), on_stop(lambda: "stopped at the weir"):
        send(number)
    assert stop.value.code == code
    assert capsys.readouterr().err == "protoxai: stopped at the weir\n"


def test_the_innermost_message_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Stopped), stoppable(), on_stop(lambda: "outer"), on_stop(lambda: "inner"):
        send()
    assert capsys.readouterr().err == "protoxai: inner\n"


def test_a_block_finishes_first() -> None:
    done = []

    def work() -> None:
        with finish_first():
            with finish_first():
                send()
                done.append("inner")
            assert stop_requested()
            done.append("outer")
        done.append("after")

    with pytest.raises(Stopped), stoppable():
        work()
    assert done == ["inner", "outer"]


def test_a_stop_that_ended_as_another_error_is_a_stop() -> None:
    def convert() -> None:
        try:
            send()
        except Stopped:
            raise RuntimeError("a library in another language failed") from None

    with pytest.raises(Stopped), stoppable():
        convert()


def test_a_stop_that_was_swallowed_is_a_stop() -> None:
    with pytest.raises(Stopped), stoppable(), contextlib.suppress(BaseException):
        send()


def test_handlers_are_restored_and_nothing_is_left() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped), stoppable():
        send()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    with stoppable(), finish_first():
        assert not stop_requested()
    listen()
    assert signal.getsignal(signal.SIGTERM) == before[0]


def test_a_handler_that_a_library_has_put_in_place_is_replaced() -> None:
    def work() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: None)
        listen()
        send(signal.SIGTERM)
        ignored.append(signal.SIGTERM)
        send(signal.SIGINT)

    ignored: list[int] = []
    with pytest.raises(Stopped), stoppable():
        work()
    assert ignored == [signal.SIGTERM]


def test_other_threads_leave_signals_alone() -> None:
    before, inside = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with stoppable():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]


SECOND = """
import os, signal, time
from protoxai.runtime.stopping import finish_first, stoppable
with stoppable(), finish_first():
    os.kill(os.getpid(), signal.SIGTERM)
    print("still here", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("never here", flush=True)
"""
WORKER = """
import multiprocessing, os, signal, time
from protoxai.runtime.stopping import stoppable
with stoppable():
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    os.kill(process.pid, signal.SIGINT)
    process.join(0.2)
    print(process.exitcode)
    process.terminate()
    process.join(30)
    print(process.exitcode)
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_second_signal_ends_the_process_at_once() -> None:
    done = run_python(SECOND)
    assert done.returncode == 130
    assert done.stdout == "still here\n"
    assert done.stderr == "protoxai: stopped at once, at the second signal\n"


def test_a_worker_ignores_ctrl_c_and_can_be_ended() -> None:
    assert run_python(WORKER).stdout.split() == ["None", "-15"]
