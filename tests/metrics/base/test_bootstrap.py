"""The bias-corrected bootstrap, against a loop, and its coverage of a rate with a threshold."""

import pytest
import torch
from scipy import stats
from torch import Tensor

from protoxai.metrics import estimate
from protoxai.metrics.base.bootstrap import bootstrap_interval
from protoxai.metrics.base.intervals import mean_of_rows


def rate(rows: Tensor, counts: Tensor) -> Tensor:
    """The share of columns with a mean of more than 0.8."""
    means = counts @ rows / counts.sum(1, keepdim=True)
    return (means > 0.8).double().mean(1)


def test_agrees_with_a_loop_over_resamples() -> None:
    values, groups = torch.rand(12).double() ** 3, torch.tensor([0, 1, 2, 3, 4, 5] * 2)
    low, high = bootstrap_interval(values, mean_of_rows, groups, 4000, seed=0)
    generator = torch.Generator().manual_seed(1)
    means = []
    for _ in range(4000):
        drawn = torch.randint(6, (6,), generator=generator).tolist()
        means.append(float(torch.cat([values[groups == group] for group in drawn]).mean()))
    samples = torch.tensor(means).double()
    shift = 2 * stats.norm.ppf((samples < values.mean()).double().mean().item())
    ends = stats.norm.cdf([shift - 1.959964, shift + 1.959964])
    expected = samples.quantile(torch.tensor(ends)).tolist()
    assert (low, high) == pytest.approx(expected, abs=0.01)


def test_the_correction_moves_both_ends_towards_the_longer_tail() -> None:
    # The figure, the largest value, is at the upper end of its resamples.
    values = torch.rand(30, dtype=torch.float64)

    def largest(rows: Tensor, counts: Tensor) -> Tensor:
        return torch.where(counts > 0, rows, 0).amax(1)

    value = estimate(values, largest)
    assert value.high == value.mean == values.max()
    # Uncorrected, the lower end would be the fourth largest value or less: (27 / 30)^30 = 0.042 of
    # the resamples have none larger.
    assert value.low >= values.sort().values[-3]


def test_all_resamples_alike_have_no_width() -> None:
    value = estimate(torch.ones(6, 2), rate)
    assert value[:3] == (1, 1, 1)


def test_undefined_resamples_are_left_out() -> None:
    def sometimes(rows: Tensor, counts: Tensor) -> Tensor:
        return mean_of_rows(rows, counts).masked_fill(counts[:, 0] == 0, torch.nan)

    values = torch.tensor([1.0, 2, 3, 4, 5, 6])
    assert estimate(values, sometimes).has_interval
    never = estimate(values, lambda rows, counts: counts[:, 0] * torch.nan)
    assert never.mean != never.mean
    assert not never.has_interval


def test_seeded() -> None:
    values = torch.rand(20)
    first, same, other = (estimate(values, mean_of_rows, seed=seed) for seed in (3, 3, 4))
    assert first == same != other


def test_blocks_of_resamples_are_all_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protoxai.metrics.base.bootstrap.LARGEST_BLOCK", 50)
    drawn = []

    def statistic(rows: Tensor, counts: Tensor) -> Tensor:
        assert counts.sum(1).eq(len(rows)).all()
        drawn.append(len(counts))
        return counts @ rows[:, 0] / len(rows)

    estimate(torch.rand(20, 3), statistic, resamples=7)
    # The figure itself, in the table and in the interval, and the resamples.
    assert drawn == [1, 1, 2, 2, 2, 1]


def test_groups_are_drawn_as_a_whole() -> None:
    def statistic(rows: Tensor, counts: Tensor) -> Tensor:
        assert torch.equal(counts[:, ::2], counts[:, 1::2])
        return mean_of_rows(rows, counts)

    estimate(torch.rand(12), statistic, groups=[i // 2 for i in range(12)])
