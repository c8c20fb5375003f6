"""How long calls take side by side, and how much memory one needs at its peak.

Times: the calls take turns in one process (first, second, ..., first, second, ...), so that a
machine that slows down slows them all, and are compared round by round. Memory: every allocation
and release of PyTorch's allocator is read back from the profiler (on CUDA, from the allocator), so
the peak is exact; a result that lies elsewhere (in memory mapped for it) is added in full. What
libraries allocate past PyTorch (oneDNN's scratch space) is not in it.
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
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

Call = Callable[[], object]
# Seconds: a turn lasts at least so long; a call that takes longer than the other is warm at once.
SHORTEST, LONG = 0.05, 1.0
# The profiler's own log; no level of its messages is as high.
SILENT = "6"


@dataclass(frozen=True)
class Ratio:
    """A ratio of two medians, and the range it had over the rounds.

    Attributes:
        value: ratio of the medians.
        low: smallest ratio of a round.
        high: largest ratio of a round.
    """

    value: float
    low: float
    high: float

    @classmethod
    def certain(cls, value: float) -> Self:
        """Return a ratio of what does not change from round to round."""
        return cls(value, value, value)

    def over(self, divisor: float) -> Ratio:
        """Return it divided by a number."""
        return Ratio(self.value / divisor, self.low / divisor, self.high / divisor)


@dataclass(frozen=True)
class Times:
    """Seconds of each call in each round.

    Attributes:
        seconds: by the call's name.
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
        calls: what to time, by name. Those of less than a second run once before each of their
            turns, untimed, to find caches and memory as they leave them; short ones are repeated.
        rounds: how often each has its turn, after one turn that does not count.
        prepare: what has to be done before a call, untimed; such a call runs once in a turn.
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
    """Return the most bytes that were allocated at once during a call, beyond those before it.

    The call's result is counted, and so is every gradient it makes. It runs once before.

    Args:
        call: what to run.
        device: where it computes; None: the CPU.
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
    allocations = _allocations(profiler)
    own = {allocation.address for allocation in allocations}
    mapped = sum(size for address, size in _storages(result).items() if address not in own)
    return _highest(allocations) + mapped


class _Allocation(NamedTuple):
    """An allocation (bytes above 0) or a release (below 0)."""

    time: float
    address: int
    size: int


def _allocations(profiler: profile) -> list[_Allocation]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(file))
        events = json.loads(file.read_text(errors="replace"))["traceEvents"]
    memory = (event for event in events if event.get("name") == "[memory]")
    found = [_Allocation(e["ts"], e["args"]["Addr"], int(e["args"]["Bytes"])) for e in memory]
    return sorted(found, key=lambda allocation: allocation.time)


def _highest(allocations: list[_Allocation]) -> int:
    """Return the most bytes live at once; releases of what was there before do not count."""
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


def _storages(result: object) -> dict[int, int]:
    """Return the addresses of a result's tensors, and how many bytes are there."""
    if isinstance(result, Tensor):
        storage = result.untyped_storage()
        return {storage.data_ptr(): storage.nbytes()}
    found: dict[int, int] = {}
    for part in result if isinstance(result, tuple | list) else ():
        found |= _storages(part)
    return found


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
