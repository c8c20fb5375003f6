"""Stopping by SIGTERM or SIGINT: asked for once, and done where nothing is lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from torch import distributed

from protoxai.runtime.distributed import is_distributed, own_device
from protoxai.runtime.failures import is_own

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# A terminal sends Ctrl-C to all processes, and torchrun passes it on to them a moment later.
SAME_REQUEST_SECONDS = 2.0


class Stopped(SystemExit):
    """A signal stops the program, with the exit code 143 (SIGTERM) or 130 (SIGINT).

    Args:
        number: Number of the signal.

    Attributes:
        message: One line that says where the program stopped and what is kept.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number
        self.message = ""

    def __str__(self) -> str:
        return self.message or "stopped before anything was written"


class _Request:
    """The request to stop, and who may answer it when."""

    def __init__(self, process: int | None = None) -> None:
        self.process = process
        self.number: int | None = None
        self.time = 0.0
        self.unfinished = 0

    def receive(self, number: int, _: FrameType | None) -> None:
        """Stop, or note the request while a block has to finish first."""
        if os.getpid() != self.process:
            _receive_in_worker(number)
        elif self.number is None:
            self.number, self.time = number, time.monotonic()
            if not self.unfinished:
                raise Stopped(number)
        elif "RANK" not in os.environ or time.monotonic() - self.time > SAME_REQUEST_SECONDS:
            # The progress bar may have hidden the cursor.
            cursor = b"\x1b[?25h" if sys.stderr.isatty() else b""
            os.write(2, cursor + b"protoxai: stopped at once, at the second signal\n")
            os._exit(128 + number)


_request = _Request()


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into :class:`Stopped` while the block runs, and print its message.

    A second signal ends the process at once. Blocks may be nested; outside of the main thread,
    which alone receives signals, nothing changes.

    Example:
        >>> with stoppable():
        ...     signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        False
    """
    global _request
    if _request.process == os.getpid() or threading.current_thread() != threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    _request = _Request(os.getpid())
    listen()
    try:
        with on_stop(lambda: ""):
            yield
            stop_if_requested()
    except Stopped as stop:
        if os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0":
            sys.stderr.write(f"protoxai: {stop}\n")
        raise
    finally:
        _request = _Request()
        for number, handler in before.items():
            signal.signal(number, handler)


def listen() -> None:
    """Receive the signals, if a :func:`stoppable` block runs, whoever has done so since."""
    if _request.process != os.getpid():
        return
    for number in SIGNALS:
        # A shell lets its background jobs ignore Ctrl-C.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _request.receive)


@contextmanager
def finish_first() -> Iterator[None]:
    """Let the block finish before a signal stops the program."""
    _request.unfinished += 1
    try:
        yield
    finally:
        _request.unfinished -= 1
    if not _request.unfinished:
        stop_if_requested()


@contextmanager
def on_stop(describe: Callable[[], str]) -> Iterator[None]:
    """Set the message of a stop within the block, unless an inner block has set it.

    Args:
        describe: Function that returns the message.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, Stopped):
            stop = error
        # Other languages' code may have turned the stop into an error of its own, and a signal to
        # all processes ends the loader's too.
        elif _request.number is not None and not is_own(error):
            stop = Stopped(_request.number)
        else:
            raise
        stop.message = stop.message or describe()
        raise stop from None


def stop_if_requested() -> None:
    """Raise :class:`Stopped` if a signal has asked for it, even where a block has to finish."""
    if _request.number is not None:
        raise Stopped(_request.number)


def stop_requested() -> bool:
    """Return whether a signal has asked any process of the run to stop; all have to call this."""
    if is_distributed():
        number = torch.tensor(_request.number or 0, device=own_device())
        distributed.all_reduce(number, distributed.ReduceOp.MAX)
        _request.number = _request.number or int(number) or None
    return _request.number is not None


def _receive_in_worker(number: int) -> None:
    """Leave Ctrl-C to the main process, which ends its workers; end at SIGTERM as usual."""
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
