"""Numbers are taken in their range, whatever library they come from; errors name both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given as drawn
from hypothesis import strategies as st

from protoxai.runtime.checks import (
    POSITIVE,
    SHARE,
    Range,
    choice,
    flag,
    function,
    instance,
    number,
    numbers_of,
    pair,
    palette_of,
    positive,
    shown,
    whole,
    wholes_of,
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


@drawn(st.floats(allow_nan=True, allow_infinity=True))
def test_a_share_is_accepted_exactly_between_its_ends(value: float) -> None:
    assert (value in SHARE) == (0 <= value <= 1)


def test_open_ends_do_not_belong_to_a_range() -> None:
    assert [value in Range(above=0, below=2) for value in (0, 1e-9, 2 - 1e-9, 2)] == [
        False,
        True,
        True,
        False,
    ]


def test_ranges_read_as_words() -> None:
    assert [str(Range()), str(POSITIVE), str(SHARE)] == ["that is finite", "above 0", "from 0 to 1"]


def test_flags_are_true_or_false() -> None:
    assert flag("flip", np.True_) is True
    with pytest.raises(TypeError, match=r"^flip is 'yes', expected True or False$"):
        flag("flip", "yes")


def test_quoted_values_are_cut() -> None:
    assert len(shown("x" * 5000)) == 100
    assert "\n" not in shown(np.zeros((3, 3)))


@pytest.mark.parametrize("given", [(8, 12), [8, 12], np.array([8, 12]), torch.tensor([8.0, 12.0])])
def test_pairs_of_other_libraries_become_pythons(given: object) -> None:
    assert pair("size", given) == (8, 12)
    assert numbers_of("size", given) == (8.0, 12.0)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (None, TypeError),
        ("12", TypeError),
        (8, TypeError),
        ((8,), ValueError),
        ((8, 8, 8), ValueError),
        ((8, 0), ValueError),
        ((8, 1.5), ValueError),
        (((8, 8), 8), TypeError),
        (np.zeros((2, 2)), TypeError),
    ],
)
def test_what_is_no_pair_is_refused_by_name(given: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^size is .*, expected (2|a) whole number"):
        pair("size", given)


def test_lists_of_any_length_are_not_empty() -> None:
    assert wholes_of("rates", [6, 12, 18]) == (6, 12, 18)
    with pytest.raises(ValueError, match=r"rates is \[\], expected a list of whole numbers"):
        wholes_of("rates", [])
    with pytest.raises(ValueError, match="expected 3 finite numbers"):
        numbers_of("mean", [0.5], 3)
    with pytest.raises(ValueError, match="mean is nan"):
        numbers_of("mean", [0.5, float("nan")])


def test_colours_are_three_bytes_each() -> None:
    assert palette_of("palette", np.array([[0, 0, 255]]), 1) == ((0, 0, 255),)
    for given in ([(0, 0, 256)], [(0, 0)], [(0, 0, 0)] * 2):
        with pytest.raises(ValueError, match=r"palette is .*expected"):
            palette_of("palette", given, 1)


def test_words_are_one_of_a_few() -> None:
    assert choice("norm", "l1", ("l1", "linf")) == "l1"
    with pytest.raises(ValueError, match=r"norm is 'l2', expected one of 'l1', 'linf'"):
        choice("norm", "l2", ("l1", "linf"))
    for other in (None, ["l1"], np.zeros(2)):
        with pytest.raises(TypeError, match=r"norm is .*expected one of"):
            choice("norm", other, ("l1", "linf"))


def test_objects_of_another_class_are_refused_with_a_hint() -> None:
    assert instance("n", 3, (int, str)) == 3
    with pytest.raises(TypeError, match=r"head is None \(NoneType\), expected a dict: pass one"):
        instance("head", None, dict, "pass one")
    assert function("log", print) is print
    with pytest.raises(TypeError, match="log is 3, expected a function"):
        function("log", 3)  # type: ignore[type-var]
