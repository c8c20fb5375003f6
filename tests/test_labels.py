import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoxai.labels import check_ignore_index, check_labels, check_not_turned, labels_at

SIDES = st.integers(1, 9)


@settings(max_examples=50)
@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_sampling_takes_the_pixel_under_each_centre(
    size: tuple[int, int], grid: tuple[int, int]
) -> None:
    labels = torch.arange(2 * math.prod(size)).view(2, *size)
    sampled = labels_at(labels, grid)
    assert sampled.shape == (2, *grid)
    for image in range(2):
        for i in range(grid[0]):
            for j in range(grid[1]):
                row = math.floor((i + 0.5) * size[0] / grid[0])
                col = math.floor((j + 0.5) * size[1] / grid[1])
                assert sampled[image, i, j] == labels[image, row, col]


def test_sampling_keeps_type_void_and_device(device: torch.device) -> None:
    labels = torch.full((1, 4, 4), 255, dtype=torch.uint8, device=device)
    sampled = labels_at(labels, (2, 3))
    assert sampled.dtype == torch.uint8
    assert sampled.device == labels.device
    assert (sampled == 255).all()


def test_right_labels_pass() -> None:
    check_labels(torch.tensor([0, 1, 2, 255]), 3, 255)
    check_labels(torch.tensor([0, 299, -1]), 300, -1)
    check_labels(torch.tensor([255, 255]), 1, 255)
    check_labels(torch.zeros(0, 4, 4).long(), 1, 255)


@pytest.mark.parametrize("wrong", [3, -1, 254, 256])
def test_wrong_value_is_named_with_what_was_expected(wrong: int) -> None:
    with pytest.raises(ValueError, match=rf"hold {wrong};.*classes 0 to 2.*ignore value 255"):
        check_labels(torch.tensor([0, wrong, 255]), 3, 255)


def test_other_void_value_is_no_label() -> None:
    with pytest.raises(ValueError, match=r"hold 255;.*ignore value -1"):
        check_labels(torch.tensor([0, 255]), 3, -1)


def test_source_is_named_and_a_long_list_is_cut() -> None:
    labels = torch.arange(10, 30)
    with pytest.raises(ValueError, match=r"labels of street\.png hold 10, 11, .*17, \.\.\.;"):
        check_labels(labels, 3, 255, source="street.png")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bool, torch.complex64])
def test_labels_that_are_no_integers(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=rf"labels: got {dtype}.*integers.*\.long\(\)"):
        check_labels(torch.zeros(2, 2, dtype=dtype), 3, 255)


@pytest.mark.parametrize("ignore_index", [0, 2])
def test_ignore_value_inside_the_classes(ignore_index: int) -> None:
    message = rf"ignore_index {ignore_index} is one of the 3 classes 0 to 2.*-1"
    with pytest.raises(ValueError, match=message):
        check_ignore_index(ignore_index, 3)
    with pytest.raises(ValueError, match=message):
        check_labels(torch.zeros(2, 2).long(), 3, ignore_index)


def test_default_ignore_value_does_not_fit_more_than_255_classes() -> None:
    check_ignore_index(255, 255)
    with pytest.raises(ValueError, match="255 is one of the 256 classes"):
        check_ignore_index(255, 256)


@pytest.mark.parametrize(
    ("labels", "image"),
    [
        ((32, 48), (32, 48)),
        ((720, 960), (360, 480)),
        ((375, 500), (513, 513)),
        ((37, 29), (19, 15)),
    ],
)
def test_labels_of_an_image_at_another_size(
    labels: tuple[int, int], image: tuple[int, int]
) -> None:
    check_not_turned(labels, image)


@pytest.mark.parametrize(
    ("labels", "image"), [((48, 32), (32, 48)), ((960, 720), (360, 480)), ((101, 100), (100, 101))]
)
def test_labels_that_are_turned(labels: tuple[int, int], image: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"labels of a are {labels[0]}x{labels[1]} .*turned"):
        check_not_turned(labels, image, source="a")
