import pytest
import torch
from scipy import stats

from protoxai.metrics import estimate


def test_mean_and_undefined_by_hand() -> None:
    value = estimate(torch.tensor([1.0, torch.nan, 3.0, torch.nan]))
    assert (value.mean, value.images, value.undefined) == (2.0, 2, 2)
    # A quarter of the resamples hold the first image alone, and a quarter the second.
    assert (value.low, value.high) == (1.0, 3.0)
    assert float(value) == 2.0
    assert str(value) == "2 [1, 3] (2 of 4 images undefined)"


def test_nothing_defined_is_nan_and_counted() -> None:
    value = estimate(torch.full((3,), torch.nan))
    assert value.images == 0
    assert value.undefined == 3
    assert all(value != value for value in value[:3])
    assert estimate(torch.zeros(0)).undefined == 0


def test_one_image_has_no_width() -> None:
    assert estimate(torch.tensor([0.25]))[:3] == (0.25, 0.25, 0.25)


def test_seeded() -> None:
    values = torch.rand(20)
    assert estimate(values, seed=3) == estimate(values, seed=3)
    assert estimate(values, seed=3) != estimate(values, seed=4)


def test_agrees_with_scipy() -> None:
    values = torch.rand(40, dtype=torch.float64)
    low, high = stats.bootstrap(
        (values.numpy(),), lambda x, axis: x.mean(axis), n_resamples=4000, method="percentile",
        rng=0,
    ).confidence_interval  # fmt: skip
    value = estimate(values, resamples=4000)
    assert value.low == pytest.approx(low, abs=0.01)
    assert value.high == pytest.approx(high, abs=0.01)


def test_blocks_of_resamples_are_all_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protoxai.metrics.base.intervals.LARGEST_BLOCK", 50)
    drawn = []

    def statistic(rows: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        assert counts.sum(1).eq(len(rows)).all()
        drawn.append(len(counts))
        return counts @ rows[:, 0] / len(rows)

    estimate(torch.rand(20, 3), statistic, resamples=7)
    assert drawn == [1, 2, 2, 2, 1]
