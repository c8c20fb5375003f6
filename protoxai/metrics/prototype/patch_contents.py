"""What the patches of an image show: the values that are most frequent in them."""

from __future__ import annotations

import torch
from torch import Tensor

NOTHING = -1
"""What a patch without any pixel that counts shows."""


def patch_contents(values: Tensor, counted: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the most frequent value in each patch.

    The patch of a feature pixel is its box in the image as the projection shows it, see
    :func:`~protoxai.projection.active_region.patch_box`.

    Args:
        values: Value of each pixel, such as its part, integers (H, W).
        counted: Pixels that count, bool (H, W).
        grid: Height and width (h, w) of the feature grid.

    Returns:
        The value with the most pixels among those that count, int64 (h, w): the smallest of equally
        frequent ones, and -1 where no pixel counts.

    Example:
        >>> import torch
        >>> values = torch.tensor([[4, 4, 4, 2, 2, 7]])
        >>> patch_contents(values, values != 7, (1, 2))
        tensor([[4, 2]])
    """
    (first_row, last_row), (first_col, last_col) = (
        _bounds(cells, pixels) for cells, pixels in zip(grid, values.shape, strict=True)
    )
    shown = torch.full(grid, NOTHING)
    most = torch.zeros(grid, dtype=torch.long)
    for value in values[counted].unique().tolist():
        # Sums over boxes are differences of sums over all pixels above and to the left.
        sums = torch.zeros(values.shape[0] + 1, values.shape[1] + 1, dtype=torch.long)
        sums[1:, 1:] = ((values == value) & counted).long().cumsum(0).cumsum(1)
        rows = sums[last_row] - sums[first_row]
        pixels = rows[:, last_col] - rows[:, first_col]
        shown[pixels > most] = value
        most = torch.maximum(most, pixels)
    return shown


def _bounds(cells: int, pixels: int) -> tuple[Tensor, Tensor]:
    """Return the first pixel of each patch along one side, and the one behind its last."""
    cell = torch.arange(cells)
    return cell * pixels // cells, ((cell + 1) * pixels // cells + 1).clamp_max(pixels)
