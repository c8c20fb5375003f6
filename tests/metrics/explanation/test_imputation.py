import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai.metrics.explanation.imputation import impute


def naive(image: Tensor, known: Tensor) -> Tensor:
    """Pull-push of a map (H, W), square by square."""
    height, width = image.shape
    levels = math.ceil(math.log2(max(height, width)))
    mean = image[known].mean() if known.any() else image.mean()
    coarser = torch.full((1, 1), float(mean), dtype=image.dtype)
    for level in range(levels - 1, -1, -1):
        side = 2**level
        filled = image.new_zeros(math.ceil(height / side), math.ceil(width / side))
        for i in range(filled.shape[0]):
            for j in range(filled.shape[1]):
                square = slice(i * side, (i + 1) * side), slice(j * side, (j + 1) * side)
                own = image[square][known[square]]
                filled[i, j] = own.mean() if len(own) else between(coarser, i, j)
        coarser = filled
    return coarser


def between(coarser: Tensor, i: int, j: int) -> Tensor:
    """The bilinear value of a coarser map at the centre of a square of half the size."""
    value = coarser.new_zeros(())
    for row, down in weights(i, coarser.shape[0]):
        for column, right in weights(j, coarser.shape[1]):
            value = value + down * right * coarser[row, column]
    return value


def weights(number: int, count: int) -> list[tuple[int, float]]:
    # The centre is a quarter of a coarser square away from that of its own.
    own, other = number // 2, number // 2 + (1 if number % 2 else -1)
    return [(own, 0.75), (min(max(other, 0), count - 1), 0.25)]


def test_by_hand() -> None:
    nan = math.nan
    image = torch.tensor([[[[4.0, nan, nan, nan], [nan, nan, nan, nan], *[[nan] * 4] * 2]]])
    image[..., 3, 3] = 8
    known = ~image[0].isnan()
    filled = impute(image.nan_to_num(9), known)[0, 0]
    # Squares of two pixels: [[4, m], [m, 8]] with m = 6, the mean of both, in the empty ones.
    rows = [[4.0, 4.5, 5.5, 6.0], [4.5, 5.0, 6.0, 6.5]]
    expected = torch.tensor([*rows, *[[12 - v for v in row[::-1]] for row in rows[::-1]]])
    torch.testing.assert_close(filled, expected)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([0, 0.1, 0.5]), st.integers(0, 2**31))
@settings(max_examples=15)
def test_agrees_with_loops(height: int, width: int, share: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 2, height, width, generator=generator, dtype=torch.float64)
    known = torch.rand(2, height, width, generator=generator) < share
    filled = impute(images, known)
    for one, other, mask in zip(images, filled, known, strict=True):
        for channel, own in zip(one, other, strict=True):
            torch.testing.assert_close(own, naive(channel, mask))


@given(st.integers(0, 2**31))
def test_known_pixels_stay_and_bound_the_others(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(1, 2, 11, 6, generator=generator)
    known = torch.rand(1, 11, 6, generator=generator) < 0.3
    known[0, 3, 3] = True
    filled = impute(images, known)
    assert torch.equal(filled[0][:, known[0]], images[0][:, known[0]])
    for own, image in zip(filled[0], images[0], strict=True):
        low, high = image[known[0]].aminmax()
        assert low - 1e-5 <= own.min()
        assert own.max() <= high + 1e-5
    # What is removed does not matter.
    torch.testing.assert_close(filled, impute(images.where(known[:, None], 7), known))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_at_the_end_only(dtype: torch.dtype) -> None:
    images, known = torch.rand(1, 3, 64, 64).to(dtype), torch.rand(1, 64, 64) < 0.01
    filled = impute(images, known)
    assert filled.dtype == dtype
    assert torch.equal(filled, impute(images.double(), known).to(dtype)) or torch.equal(
        filled, impute(images.float(), known).to(dtype)
    )
