import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.explanations.areas import cell_shares, region_mask
from protoxai.labels import labels_at

SIDES = st.integers(1, 9)


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 2**31))
def test_shares_count_the_pixels_of_each_cell(
    height: int, width: int, h: int, w: int, seed: int
) -> None:
    mask = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) > 0.4
    mask[0, 0] = True
    expected = torch.zeros(h, w, dtype=torch.float64)
    for row, col in mask.nonzero().tolist():
        expected[int((row + 0.5) * h / height), int((col + 0.5) * w / width)] += 1
    torch.testing.assert_close(cell_shares(mask, (h, w)), expected / int(mask.sum()))
    # It is the rule by which labels are sampled, read the other way round.
    cells = torch.rand(h, w, dtype=torch.float64)
    mean = labels_at(cells, (height, width))[mask].mean()
    torch.testing.assert_close((cells * cell_shares(mask, (h, w))).sum(), mean)


def test_boxes_and_masks_are_regions() -> None:
    expected = torch.zeros(4, 6, dtype=torch.bool)
    expected[1:3, 2:6] = True
    for region in ((1, 2, 3, 6), [1, 2, 3, 6], torch.tensor([1, 2, 3, 6]), np.array([1, 2, 3, 6])):
        assert torch.equal(region_mask(region, (4, 6)), expected)
    for region in (expected, expected.numpy()):
        assert torch.equal(region_mask(region, (4, 6)), expected)


@pytest.mark.parametrize("box", [(0, 0, 5, 6), (0, 0, 4, 7), (2, 0, 2, 6), (3, 1, 2, 4)])
def test_boxes_beyond_the_image_are_refused(box: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="inside of the image of 4x6 pixels"):
        region_mask(box, (4, 6))


def test_an_empty_region_is_refused() -> None:
    with pytest.raises(ValueError, match="region is empty"):
        region_mask(torch.zeros(4, 6, dtype=torch.bool), (4, 6))
