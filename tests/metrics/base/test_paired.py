"""Differences by hand, of groups, and what unpaired intervals miss."""

import math

import pytest
import torch
from scipy import stats

from protoxai.metrics import estimate
from protoxai.metrics.base.paired import mean_over_seeds, paired_difference

NAN = math.nan


def test_by_hand() -> None:
    first = torch.tensor([1.0, 2.0, 3.0, NAN, 5.0, 6.0, 7.0])
    second = torch.tensor([0.0, 2.0, 4.0, 1.0, NAN, 3.0, 5.0])
    result = paired_difference(first, second)
    assert (result.wins, result.ties, result.losses) == (3, 1, 1)
    assert (result.tasks, result.groups, result.undefined) == (5, 5, 2)
    differences = [1.0, 0.0, -1.0, 3.0, 2.0]
    low, high = stats.t.interval(0.95, 4, 1.0, stats.sem(differences))
    assert result[:3] == pytest.approx((1, low, high))
    assert float(result) == result.mean
    # Signs of 1, 1, 3, 2 with a sum of at least 5 or at most -5: of 7 and 5; 0 has either sign.
    assert result.p == pytest.approx(2 * (1 + 2) * 2 / 32)
    # The least p value of five groups is 2 / 32.
    assert math.isnan(result.resolvable)
    more = [*differences, 2.0]
    result = paired_difference(torch.tensor(more), torch.zeros(6))
    assert result.resolvable == pytest.approx(stats.sem(more) * (2.5706 + 0.9195), rel=1e-4)


def test_lower_may_be_better_and_swaps_wins_alone() -> None:
    first, second = torch.rand(12), torch.rand(12)
    up = paired_difference(first, second)
    down = paired_difference(first, second, higher_is_better=False)
    assert (up.wins, up.losses) == (down.losses, down.wins)
    assert down._replace(wins=up.wins, losses=up.losses) == up
    back = paired_difference(second, first)
    assert (back.mean, back.low, back.high) == pytest.approx((-up.mean, -up.high, -up.low))
    assert back.p == up.p


def test_groups_flip_as_a_whole() -> None:
    first = torch.tensor([1.0, 3.0, 2.0, 2.0, 1.0, 3.0, 2.0, 2.0, 4.0, 0.0])
    groups = [number // 2 for number in range(10)]
    result = paired_difference(first, torch.zeros(10), groups=groups)
    assert (result.tasks, result.groups) == (10, 5)
    # All groups have the mean 2.
    assert (result.low, result.mean, result.high, result.p) == (2, 2, 2, 2 / 2**5)
    twelve = paired_difference(torch.full((12,), 2.0), torch.zeros(12), groups=[*range(6)] * 2)
    assert (twelve.low, twelve.high, twelve.resolvable) == (2, 2, 0)
    assert paired_difference(first, torch.zeros(10)).p < result.p


@pytest.mark.parametrize("number", [0, 1, 4])
def test_below_five_groups_there_is_no_interval(number: int) -> None:
    result = paired_difference(torch.ones(number), torch.zeros(number))
    assert all(math.isnan(value) for value in (result.low, result.high, result.resolvable))
    assert result.tasks == number
    assert math.isnan(result.p) == (number == 0)


def test_pairs_tell_apart_what_overlapping_intervals_do_not() -> None:
    generator = torch.Generator().manual_seed(0)
    level = torch.randn(20, generator=generator)
    first = level + 0.1 + 0.05 * torch.randn(20, generator=generator)
    one, other = estimate(first), estimate(level)
    assert one.low < other.high
    result = paired_difference(first, level)
    assert result.low > 0
    assert result.p < 0.01
    assert abs(result.mean) > result.resolvable


def test_seeds_are_averaged_by_task() -> None:
    level = torch.randn(8, generator=torch.Generator().manual_seed(0)).double()
    values = torch.stack([level + shift for shift in (-1.0, 0.0, 1.0)])
    assert estimate(mean_over_seeds(values)) == pytest.approx(estimate(level))
    # Three values of a task are not three tasks.
    assert estimate(mean_over_seeds(values)).tasks == 8
    undefined = mean_over_seeds(torch.tensor([[1.0, NAN, NAN], [2.0, 3.0, NAN]]))
    assert undefined[:2].tolist() == [1.5, 3.0]
    assert undefined[2].isnan()


def test_values_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"second: got shape \(3,\)"):
        paired_difference(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="got 1 groups for 2 rows"):
        paired_difference(torch.ones(2), torch.ones(2), groups=[0])
