"""How long calls take side by side, and how much memory one needs at its peak.

Times: the calls take turns in one process (first, second, ..., first, second, ...), so that a
machine that slows down slows them all, and are compared round by round. Memory: every allocation
and release of PyTorch's allocator is read back from the profiler (on CUDA, from the allocator), so
the peak is exact. What libraries allocate past PyTorch (oneDNN's scratch space) is not included.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch.profiler import ProfilerActivity, profile

Call = Callable[[], object]
# Seconds: the least length of a turn, and the time from which a call needs no second warm-up.
SHORTEST, LONG = 0.05, 1.0
# The profiler's own log; no level of its messages is as high.
SILENT = "6"


@dataclass(frozen=True)
class Ratio:
    """A ratio of two medians, and its range over the rounds.

    Attributes:
        value: Ratio of the medians.
        low: Smallest ratio of a round.
        high: Largest ratio of a round.
    """

    value: float
    low: float
    high: float

    @classmethod
    def certain(cls, value: float) -> Self:
        """Return a ratio that does not vary between rounds."""
        return cls(value, value, value)


@dataclass(frozen=True)
class Times:
    """Seconds of each call in each round.

    Attributes:
        seconds: Seconds of each round, by the call's name.
    """

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Return the median seconds of a call."""
        return statistics.median(self.seconds[name])

    def ratio(self, above: str, below: str) -> Ratio:
        """Return how many times longer one call takes than another."""
        pairs = zip(self.seconds[above], self.seconds[below], strict=True)
        rounds = [first / second for first, second in pairs]
        return Ratio(self.median(above) / self.median(below), min(rounds), max(rounds))


def side_by_side(
    calls: Mapping[str, Call], rounds: int, prepare: Mapping[str, Call] | None = None
) -> Times:
    """Time calls in turns.

    Args:
        calls: Calls to time, by name. Those of less than a second run once, untimed, before each of
            their turns, so that they start from their own state of caches and memory; short ones
            are repeated.
        rounds: Number of turns of each call, after one turn that does not count.
        prepare: Untimed preparations of calls; a call with one runs once in a turn.
    """
    prepare = prepare or {}
    repeats = {}
    for name, call in calls.items():
        prepare.get(name, _nothing)()
        once = _seconds(call, 1)
        if name not in prepare and once < LONG:
            # The first run also paid for compilation.
            once = _seconds(call, 1)
            repeats[name] = max(1, round(SHORTEST / once))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    with _no_garbage_collection():
        for _ in range(rounds):
            gc.collect()
            for name, call in calls.items():
                prepare.get(name, _nothing)()
                if name in repeats:
                    call()
                seconds[name].append(_seconds(call, repeats.get(name, 1)))
    return Times(seconds)


def peak_memory(call: Call, device: torch.device | None = None) -> int:
    """Return the most bytes allocated at once during a call, beyond those allocated before.

    The call's result and its gradients count. It runs once before, unmeasured.

    Args:
        call: Call to measure.
        device: Device it computes on; None for the CPU.
    """
    call()
    gc.collect()
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return int(torch.cuda.max_memory_allocated(device) - before)
    os.environ.setdefault("KINETO_LOG_LEVEL", SILENT)
    profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    with _no_garbage_collection(), profiler:
        result = call()
    # The result is alive until the profiler has stopped.
    del result
    return _highest(_allocations(profiler))


class _Allocation(NamedTuple):
    """An allocation (bytes above 0) or a release (below 0)."""

    time: float
    address: int
    size: int


def _allocations(profiler: profile) -> list[_Allocation]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(file))
        events = json.loads(file.read_text(encoding="utf-8", errors="replace"))["traceEvents"]
    memory = (event for event in events if event.get("name") == "[memory]")
    allocations = [_Allocation(e["ts"], e["args"]["Addr"], int(e["args"]["Bytes"])) for e in memory]
    return sorted(allocations, key=lambda allocation: allocation.time)


def _highest(allocations: list[_Allocation]) -> int:
    """Return the most bytes live at once; releases of older memory do not count."""
    live: dict[int, int] = {}
    total = highest = 0
    for allocation in allocations:
        if allocation.size > 0:
            live[allocation.address] = allocation.size
            total += allocation.size
            highest = max(highest, total)
        else:
            total -= live.pop(allocation.address, 0)
    return highest


def _seconds(call: Call, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _nothing() -> None:
    pass
