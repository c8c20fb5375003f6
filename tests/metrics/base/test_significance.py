"""Sign flips against enumerations, Holm against statsmodels' definition, power by simulation."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from protoxai.metrics.base.significance import (
    holm,
    least_p,
    resolvable_difference,
    sign_flip_test,
)


@pytest.mark.parametrize("groups", [1, 4, 9])
def test_signs_are_enumerated(groups: int) -> None:
    sums = torch.randn(groups, generator=torch.Generator().manual_seed(groups)).double() + 0.7
    own = abs(sum(sums.tolist()))
    flipped = [
        abs(sum(sign * value for sign, value in zip(signs, sums.tolist(), strict=True)))
        for signs in itertools.product((-1, 1), repeat=groups)
    ]
    expected = sum(value >= own - 1e-12 for value in flipped) / 2**groups
    assert sign_flip_test(sums) == expected


def test_draws_agree_with_the_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = torch.randn(12, generator=torch.Generator().manual_seed(0)) + 0.9
    exact = sign_flip_test(sums)
    assert 0.02 < exact < 0.5
    monkeypatch.setattr("protoxai.metrics.base.significance.LARGEST_BLOCK", 1000)
    # Groups without a difference change nothing, but are too many to enumerate.
    drawn = sign_flip_test(torch.cat([sums, torch.zeros(3)]), seed=1)
    assert drawn == pytest.approx(exact, abs=0.015)
    assert drawn == sign_flip_test(torch.cat([sums, torch.zeros(3)]), seed=1)
    assert drawn != sign_flip_test(torch.cat([sums, torch.zeros(3)]), seed=2)


def test_certain_and_absent_differences() -> None:
    assert sign_flip_test(torch.zeros(6)) == sign_flip_test(torch.zeros(30)) == 1
    assert sign_flip_test(torch.full((6,), 0.1)) == 2 / 2**6
    assert sign_flip_test(torch.full((40,), 0.1)) == 1 / 10_001
    assert math.isnan(sign_flip_test(torch.zeros(0)))


def test_the_test_errs_as_often_as_stated() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(1000, 10, generator=generator)
    wrong = sum(sign_flip_test(row) <= 0.05 for row in values) / 1000
    # The share of 1000 draws has a standard error of 0.7 %.
    assert 0.03 <= wrong <= 0.07


def test_holm_by_hand() -> None:
    # Sorted: 4 · 0.005, 3 · 0.01, 2 · 0.03, then no smaller than before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    first, undefined, last = holm([0.02, math.nan, 0.9])
    assert (first, last) == (0.04, 0.9)
    assert math.isnan(undefined)
    with pytest.raises(ValueError, match=r"p_values is 1.5, expected a number from 0 to 1"):
        holm([1.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_rejects_step_by_step(p_values: list[float]) -> None:
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    rejected = set()
    for rank, place in enumerate(order):
        if p_values[place] * (len(order) - rank) > 0.05:
            break
        rejected.add(place)
    corrected = holm(p_values)
    assert {place for place, p in enumerate(corrected) if p <= 0.05} == rejected
    assert all(own <= p <= 1 for own, p in zip(p_values, corrected, strict=True))


@pytest.mark.parametrize("groups", [6, 20, 50])
def test_the_resolvable_difference_is_found_in_80_percent(groups: int) -> None:
    error = 1 / math.sqrt(groups)
    smallest = resolvable_difference(float(stats.t.ppf(0.975, groups - 1)) * error, groups)
    # The exact power of the t test, by the noncentral distribution.
    limit = stats.t.ppf(0.975, groups - 1)
    power = 1 - stats.nct.cdf(limit, groups - 1, smallest / error)
    assert power == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("number", [1, 4, 9])
def test_the_resolvable_difference_of_several_tests_is_found_by_their_level(number: int) -> None:
    groups, error = 30, 1 / math.sqrt(30)
    half = float(stats.t.ppf(0.975, groups - 1)) * error
    smallest = resolvable_difference(half, groups, number)
    limit = stats.t.ppf(1 - 0.025 / number, groups - 1)
    power = 1 - stats.nct.cdf(limit, groups - 1, smallest / error)
    assert power == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("groups", [3, 5, 8, 13])
def test_no_p_value_is_below_the_least(groups: int) -> None:
    assert sign_flip_test(torch.ones(groups)) == least_p(groups)
    assert holm([least_p(groups)] * 4) == [least_p(groups, 4)] * 4
    assert math.isnan(resolvable_difference(1.0, groups, 4)) == (least_p(groups, 4) >= 0.05)
