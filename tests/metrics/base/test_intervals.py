"""The interval fits the figure, is over groups, and covers the truth."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from protoxai.metrics import estimate
from protoxai.metrics.base.intervals import caution, mean_interval, mean_of_rows
from protoxai.metrics.base.wilson import wilson_interval

NAN = math.nan


def test_mean_and_undefined_by_hand() -> None:
    value = estimate(torch.tensor([1.0, torch.nan, 3.0, torch.nan]))
    assert (value.mean, value.tasks, value.groups, value.undefined) == (2.0, 2, 2, 2)
    assert float(value) == 2.0
    assert not value.has_interval
    assert str(value) == "2 (n = 2; 2 undefined; 2 groups: no interval)"


def test_nothing_defined_is_nan_and_counted() -> None:
    value = estimate(torch.full((3,), torch.nan))
    assert value[3:] == (0, 0, 3)
    assert all(value != value for value in value[:3])
    assert estimate(torch.zeros(0)).undefined == 0


@pytest.mark.parametrize("number", [5, 19, 20])
def test_a_mean_has_students_interval(number: int) -> None:
    values = torch.rand(number, dtype=torch.float64)
    value = estimate(values)
    expected = stats.t.interval(0.95, number - 1, values.mean().item(), stats.sem(values.numpy()))
    assert value[:3] == pytest.approx((values.mean().item(), *expected))
    assert ("rough" in str(value)) == (number < 20)


@pytest.mark.parametrize("figure", [{}, {"share": True}, {"statistic": mean_of_rows}])
def test_below_five_groups_there_is_no_interval(figure: dict) -> None:
    values = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    few = estimate(values, groups=[0, 0, 1, 2, 3, 3], **figure)
    assert (few.mean, few.tasks, few.groups, few.has_interval) == (0.5, 6, 4, False)
    assert estimate(values, groups=[0, 0, 1, 2, 3, 4], **figure).has_interval


def test_the_interval_is_over_the_groups_means() -> None:
    means = torch.rand(7, dtype=torch.float64)
    around = torch.tensor([-0.1, 0.0, 0.1]).double()
    values = (means[:, None] + around).flatten()
    videos = [f"video {number}" for number in range(7) for _ in range(3)]
    grouped = estimate(values, groups=videos)
    assert grouped[:3] == pytest.approx(estimate(means)[:3])
    assert (grouped.tasks, grouped.groups) == (21, 7)
    shuffled = torch.randperm(21)
    other = estimate(values[shuffled], groups=[videos[i] for i in shuffled.tolist()])
    assert other == pytest.approx(grouped)


def test_groups_of_several_sizes_by_a_loop() -> None:
    values, sizes = torch.rand(15, dtype=torch.float64), [1, 2, 3, 4, 5]
    groups = torch.arange(5).repeat_interleave(torch.tensor(sizes))
    mean = float(values.mean())
    means = [float(values[groups == number].mean()) for number in range(5)]
    # Leaving a group out moves the mean by its weight, n_g / (n - n_g), times its deviation.
    moved = [mean + (mean - m) * n / (15 - n) for m, n in zip(means, sizes, strict=True)]
    centre = sum(moved) / 5
    error = math.sqrt(4 / 5 * sum((value - centre) ** 2 for value in moved))
    half = float(stats.t.ppf(0.975, 4)) * error
    assert estimate(values, groups=groups)[:3] == pytest.approx((mean, mean - half, mean + half))


def test_undefined_tasks_do_not_count_as_groups() -> None:
    values = torch.tensor([1.0, NAN, 2.0, NAN, 3.0])
    value = estimate(values, groups=["a", "a", "b", "c", "b"])
    assert (value.mean, value.tasks, value.groups, value.undefined) == (2.0, 3, 2, 2)


def test_a_share_has_wilsons_interval_and_each_group_is_one_observation() -> None:
    values = torch.tensor([1.0] * 16 + [0.0] * 4)
    assert estimate(values, share=True)[1:3] == wilson_interval(0.8, 20)
    assert estimate(values, groups=[i // 2 for i in range(20)], share=True)[1:3] == (
        wilson_interval(0.8, 10)
    )
    with pytest.raises(ValueError, match=r"rows of a share go from 0 to 2, expected .*\[0, 1\]"):
        estimate(torch.tensor([0.0, 2.0]), share=True)


def test_the_texts_of_intervals() -> None:
    assert str(estimate(torch.ones(20))) == "1 [1, 1] (n = 20)"
    groups = [i // 2 for i in range(12)]
    assert str(estimate(torch.ones(12), groups=groups)) == (
        "1 [1, 1] (n = 12 in 6 groups; 6 groups: a rough interval)"
    )
    assert caution(1, "videos") == "1 video: no interval"
    assert [bool(caution(number)) for number in (4, 5, 19, 20)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ([0, 1], ValueError, "got 2 groups for 3 rows"),
        ("abc", TypeError, "groups are 'abc', expected a list"),
        (3, TypeError, "groups are 3, expected a list"),
        (torch.rand(3), TypeError, "groups"),
        ([[0], [1], [2]], TypeError, "expected names or numbers of groups"),
    ],
)
def test_groups_that_do_not_fit_are_named(groups, error, message) -> None:
    with pytest.raises(error, match=message):
        estimate(torch.rand(3), groups=groups)


def test_a_table_of_rows_needs_a_statistic() -> None:
    with pytest.raises(ValueError, match=r"rows have shape \(3, 2\), expected \(tasks,\)"):
        estimate(torch.rand(3, 2))


DRAWS = 2000
"""Of so many draws, a coverage of 95 % has a standard error of 0.5 %."""


def coverage(values: Tensor, truth: float, groups: Tensor | None = None) -> float:
    """The share of draws (D, n) whose interval covers the truth."""
    covered = 0
    for row in values:
        low, high = mean_interval(row, torch.arange(len(row)) if groups is None else groups) or (
            1,
            0,
        )
        covered += low <= truth <= high
    return covered / len(values)


@pytest.mark.parametrize("number", [6, 12, 50])
def test_normal_values_are_covered(number: int) -> None:
    generator = torch.Generator().manual_seed(number)
    values = torch.randn(DRAWS, number, generator=generator, dtype=torch.float64)
    assert 0.93 <= coverage(values, 0.0) <= 0.97


@pytest.mark.parametrize(("number", "stated"), [(6, 0.89), (12, 0.90), (20, 0.92), (50, 0.94)])
def test_exponential_values_are_covered_as_stated(number: int, stated: float) -> None:
    generator = torch.Generator().manual_seed(number)
    values = torch.rand(DRAWS, number, generator=generator, dtype=torch.float64)
    found = coverage(-values.log(), 1.0)
    assert found == pytest.approx(stated, abs=0.02)
    assert f"{100 * stated:.0f} % at {number}" in " ".join((estimate.__doc__ or "").split())


@pytest.mark.parametrize("sizes", [[10] * 6, [4, 10, 12, 14, 8, 6, 10, 16]])
def test_frames_of_videos_are_covered_over_videos_only(sizes: list[int]) -> None:
    generator = torch.Generator().manual_seed(1)
    groups = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    videos = torch.randn(DRAWS, len(sizes), generator=generator, dtype=torch.float64)
    frames = torch.randn(DRAWS, len(groups), generator=generator, dtype=torch.float64)
    values = videos[:, groups] + 0.3 * frames
    assert 0.93 <= coverage(values, 0.0, groups) <= 0.97
    assert coverage(values, 0.0) < 0.6
