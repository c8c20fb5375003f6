"""A clock that only calls can advance."""

import pytest

from benchmarks.speed import measure


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    # It has no use here, and is slow after all other tests.
    monkeypatch.setattr("gc.collect", lambda: 0)
    return clock
