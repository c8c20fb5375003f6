import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.speed import guard
from benchmarks.speed.guard import judge, main
from benchmarks.speed.guarded import GUARDED, relative
from tests.benchmarks.conftest import Clock

Maker = Callable[[], Callable[[], float]]


def taking(clock: Clock, *seconds: float) -> Maker:
    """Return a cost of turns of these lengths, then always the last, against one second."""
    left = list(seconds)

    def ours() -> None:
        clock.advance(left.pop(0) if len(left) > 1 else left[0])

    return lambda: relative(ours, lambda: clock.advance(1))


@pytest.fixture
def compare(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, Maker], dict[str, float]], int]:
    def compare(guarded: dict[str, Maker], stored: dict[str, float]) -> int:
        reference = tmp_path / "reference.json"
        reference.write_text(json.dumps(stored))
        monkeypatch.setattr(guard, "GUARDED", guarded)
        return main(["--reference", str(reference)])

    return compare


@pytest.mark.parametrize(("seconds", "code"), [(2.0, 0), (2.59, 0), (2.61, 1), (1.0, 0)])
def test_fails_above_thirty_per_cent(
    seconds: float, code: int, clock: Clock, compare: Callable[..., int]
) -> None:
    assert compare({"product": taking(clock, seconds)}, {"product": 2.0}) == code


def test_names_what_got_worse(
    clock: Clock, compare: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    guarded = {"loss": taking(clock, 3.0), "product": taking(clock, 3.0)}
    assert compare(guarded, {"loss": 1.5, "product": 3.0}) == 1
    *_, loss, product, summary = capsys.readouterr().out.splitlines()
    assert loss.split() == ["loss", "1.5", "3", "+100%", "WORSE"]
    assert product.split() == ["product", "3", "3", "+0%", "ok"]
    assert summary.endswith("not comparable: loss")


def test_noise_is_measured_again(clock: Clock) -> None:
    # All of the first attempt, its warm-up included, is disturbed.
    noisy = taking(clock, *[9.0] * 6, 1.0)
    (verdict,) = judge({"loss": noisy}, {"loss": 1.0})
    assert verdict.good
    assert verdict.measured == 1


@pytest.mark.parametrize("stored", [{}, {"loss": 1.0, "removed": 1.0}])
def test_fails_where_there_is_nothing_to_compare(
    stored: dict[str, float], clock: Clock, compare: Callable[..., int]
) -> None:
    assert compare({"loss": taking(clock, 1.0)}, stored) == 1


def test_update_stores_what_then_passes(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = tmp_path / "reference.json"
    monkeypatch.setattr(guard, "GUARDED", {"loss": taking(clock, 2.0)})
    assert main(["--update", "--reference", str(reference)]) == 0
    assert json.loads(reference.read_text()) == {"loss": 2.0}
    assert main(["--reference", str(reference)]) == 0


def test_every_cost_has_a_reference() -> None:
    assert set(json.loads(guard.REFERENCE.read_text())) == set(GUARDED)


def test_a_cost_can_be_measured() -> None:
    assert 0 < GUARDED["prototype diversity / literal"]()() < 1
