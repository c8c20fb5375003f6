import pytest
import torch

from benchmarks.speed import measure
from benchmarks.speed.measure import peak_memory, side_by_side
from tests.benchmarks.conftest import Clock

MEGA = 1_000_000


def test_calls_take_turns(clock: Clock) -> None:
    turns: list[str] = []

    def call(name: str, seconds: float) -> None:
        turns.append(name)
        clock.now += seconds

    times = side_by_side({"a": lambda: call("a", 2), "b": lambda: call("b", 4)}, rounds=3)
    assert turns == ["a", "b", *["a", "b"] * 3]
    ratio = times.ratio("b", "a")
    assert (ratio.value, ratio.low, ratio.high) == (2, 2, 2)


def test_a_ratio_is_of_medians_and_ranges_over_the_rounds(clock: Clock) -> None:
    seconds = iter([5.0, 2.0, 2.0, 8.0, 2.0, 3.0])
    times = side_by_side(
        {"noisy": lambda: clock.advance(next(seconds)), "steady": lambda: clock.advance(1)}, 5
    )
    ratio = times.ratio("noisy", "steady")
    assert (ratio.value, ratio.low, ratio.high) == (2, 2, 8)
    assert times.median("noisy") == 2


def test_a_short_call_is_repeated_and_its_time_divided(clock: Clock) -> None:
    runs = []

    def short() -> None:
        runs.append(1)
        clock.advance(measure.SHORTEST / 8)

    times = side_by_side({"short": short}, rounds=1)
    assert len(runs) == 2 + 1 + 8
    assert times.median("short") == pytest.approx(measure.SHORTEST / 8)


def test_preparation_is_not_timed_and_comes_before_every_run(clock: Clock) -> None:
    ready: list[bool] = []

    def prepare() -> None:
        clock.advance(100)
        ready.append(True)

    def use() -> None:
        ready.pop()
        clock.advance(0.001)

    times = side_by_side({"use": use}, rounds=4, prepare={"use": prepare})
    assert times.seconds["use"] == pytest.approx([0.001] * 4)


def test_peak_memory_counts_what_is_live_at_once() -> None:
    def call() -> torch.Tensor:
        first = torch.zeros(MEGA)
        second = first + 1
        del first
        third = second + 1
        return second * third

    assert 12 * MEGA <= peak_memory(call) < 12.01 * MEGA


def test_peak_memory_counts_gradients() -> None:
    leaf = torch.zeros(MEGA, requires_grad=True)
    # The exponential, which is saved, and two gradients.
    peak = peak_memory(lambda: torch.autograd.grad(leaf.exp().sum(), leaf))
    assert 8 * MEGA <= peak <= 12.01 * MEGA


def test_memory_from_before_does_not_count() -> None:
    held = [torch.zeros(10 * MEGA) for _ in range(2)]

    def call() -> None:
        held.pop()
        torch.zeros(MEGA)

    assert 4 * MEGA <= peak_memory(call) < 4.01 * MEGA
