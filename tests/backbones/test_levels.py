import pytest

from protoxai.backbones.levels import check_output_stride, choose_levels

REDUCTIONS = (2, 4, 8, 16, 32)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (None, (4,)),
        ([3], (3,)),
        ((3, 1), (1, 3)),
        ([-1, 0], (0, 4)),
        ("pyramid", (2, 3, 4)),
        (["c", "a"], (0, 2)),
    ],
)
def test_choices(levels, expected):
    assert choose_levels(levels, REDUCTIONS, 8, names="abcde") == expected


@pytest.mark.parametrize("levels", [[5], [-6], [True], [1.0], ["z"]])
def test_a_level_that_does_not_exist(levels):
    with pytest.raises(ValueError, match="integer from -5 to 4") as caught:
        choose_levels(levels, REDUCTIONS, 8)
    assert repr(levels[0]) in str(caught.value)


@pytest.mark.parametrize("levels", [[], [1, 1], [4, -1]])
def test_no_level_or_one_twice(levels):
    with pytest.raises(ValueError, match="each only once"):
        choose_levels(levels, REDUCTIONS, 8)


@pytest.mark.parametrize("levels", ["pyramids", 3])
def test_not_a_list(levels):
    with pytest.raises(TypeError, match="'pyramid' or None"):
        choose_levels(levels, REDUCTIONS, 8)


def test_a_pyramid_without_levels():
    with pytest.raises(ValueError, match="lower output_stride"):
        choose_levels("pyramid", (2, 4), 8)


@pytest.mark.parametrize("stride", [4, 0, 64, "8"])
def test_output_strides(stride):
    with pytest.raises(ValueError, match=r"expected one of \(8, 16, 32\)"):
        check_output_stride(stride)
