"""Regions of an image, the cells of the feature grid under them, and where a prototype fires."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoxai.projection.active_region import active_region
from protoxai.prototypes.provenance import Box
from protoxai.runtime.checks import NOT_NEGATIVE, shown, wholes_of
from protoxai.runtime.tensors import tensor

Region = Tensor | NDArray[np.bool_] | Sequence[int]
"""Pixels of an image: a mask, bool (H, W), or a box (top, left, bottom, right), ends exclusive."""


class Firing(NamedTuple):
    """Where a prototype is most active in a region.

    Attributes:
        cell: Row and column of its highest activation on the feature grid.
        box: Box around that cell where the prototype is about as active, in pixels of the image.
    """

    cell: tuple[int, int]
    box: Box


def region_mask(region: Any, size: tuple[int, int]) -> Tensor:
    """Return a region as a mask.

    Args:
        region: Mask, bool (H, W), or box (top, left, bottom, right), ends exclusive.
        size: Height and width (H, W) of the image.

    Returns:
        Mask on the CPU, bool (H, W), with at least one pixel.

    Raises:
        TypeError: If the region is neither a mask nor a box.
        ValueError: If it has another size, reaches beyond the image, or is empty.

    Example:
        >>> region_mask((0, 1, 2, 3), size=(2, 3)).tolist()
        [[False, True, True], [False, True, True]]
    """
    if isinstance(region, np.ndarray) and region.dtype == np.bool_:
        region = torch.from_numpy(region.copy())
    if isinstance(region, Tensor) and (region.dtype == torch.bool or region.dim() != 1):
        sizes = {"height": size[0], "width": size[1]}
        mask = tensor("region", region, "height width", "bool", sizes=sizes).detach().cpu()
        if not bool(mask.any()):
            raise ValueError("region is empty, expected a mask with at least one pixel")
        return mask
    top, left, bottom, right = wholes_of("region", region, 4, NOT_NEGATIVE)
    if not (top < bottom <= size[0] and left < right <= size[1]):
        raise ValueError(
            f"region is {shown(region)}, expected a box (top, left, bottom, right) with top < "
            f"bottom and left < right, inside of the image of {size[0]}x{size[1]} pixels"
        )
    mask = torch.zeros(size, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


def cell_shares(region: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the share of a region's pixels that belongs to each cell of the feature grid.

    Pixel ``i`` of a side of ``H`` pixels belongs to cell ``floor((i + 1/2) h / H)``.

    Args:
        region: Pixels, at least one, bool (H, W).
        grid: Height and width (h, w) of the feature grid.

    Returns:
        Shares, float64 (h, w), that sum to 1.

    Example:
        >>> cell_shares(torch.tensor([[True, True, True, False]]), (1, 2))
        tensor([[0.6667, 0.3333]], dtype=torch.float64)
    """
    rows, cols = (
        (2 * torch.arange(pixels) + 1) * cells // (2 * pixels)
        for pixels, cells in zip(region.shape, grid, strict=True)
    )
    counts = region.new_zeros(grid[0], region.shape[1], dtype=torch.float64)
    counts.index_add_(0, rows, region.double())
    shares = counts.new_zeros(grid).index_add_(1, cols, counts)
    return shares / shares.sum()


def where_it_fires(activation: Tensor, region: Tensor) -> Firing:
    """Return where a prototype is most active in a region.

    The box is that of :func:`~protoxai.projection.active_region.active_region`, with the region in
    the place of the class: the connected pixels around the peak whose activation reaches the 95th
    percentile within the region.

    Args:
        activation: Activation (h, w) of the prototype, on the CPU.
        region: Pixels, at least one, bool (H, W), on the CPU.
    """
    grid = (activation.shape[0], activation.shape[1])
    cells = cell_shares(region, grid) > 0
    peak = int(activation.masked_fill(~cells, -torch.inf).argmax())
    row, col = divmod(peak, grid[1])
    return Firing((row, col), active_region(activation, region.numpy(), row, col))
