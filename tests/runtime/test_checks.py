"""Numbers are taken in their range, whatever library they come from; errors name both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.runtime.checks import (
    POSITIVE,
    SHARE,
    Range,
    flag,
    number,
    positive,
    shown,
    whole,
)


@pytest.mark.parametrize("three", [3, 3.0, np.int64(3), np.float32(3), torch.tensor(3)])
def test_numbers_of_other_libraries_become_pythons(three: object) -> None:
    assert type(whole("n", three)) is int
    assert whole("n", three) == 3
    assert type(number("x", three)) is float
    assert number("x", three) == 3


@pytest.mark.parametrize("value", [None, "3", True, 3j, [3], np.array([3, 4]), torch.zeros(2)])
def test_what_is_no_number_is_refused_by_name_and_value(value: object) -> None:
    for check in (number, whole, positive):
        with pytest.raises(TypeError, match=r"^momentum is .*, expected a"):
            check("momentum", value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 0, -1, 10**400])
def test_numbers_outside_of_the_range_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"^rate is .*, expected a number above 0 and below 2$"):
        number("rate", value, Range(above=0, below=2))


def test_fractions_are_not_whole() -> None:
    with pytest.raises(ValueError, match=r"^steps is 1\.5, expected a whole number of at least 1$"):
        positive("steps", 1.5)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_share_is_accepted_exactly_between_its_ends(value: float) -> None:
    assert (value in SHARE) == (0 <= value <= 1)


def test_ranges_read_as_words() -> None:
    assert [str(Range()), str(POSITIVE), str(SHARE)] == ["that is finite", "above 0", "from 0 to 1"]


def test_flags_are_true_or_false() -> None:
    assert flag("flip", np.True_) is True
    with pytest.raises(TypeError, match=r"^flip is 'yes', expected True or False$"):
        flag("flip", "yes")


def test_quoted_values_are_cut() -> None:
    assert len(shown("x" * 5000)) == 100
