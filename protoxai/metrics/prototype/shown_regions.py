"""The regions that are shown for prototypes in an image, and areas to compare them with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from protoxai.labels import labels_at
from protoxai.projection.active_region import active_region
from protoxai.prototypes.provenance import Box


class ShownRegions(NamedTuple):
    """Peaks of activation maps within a class, and the regions around them.

    Attributes:
        rows: Row of each peak on the feature grid, int64 (n,).
        cols: Column of each peak on the feature grid, int64 (n,).
        boxes: Region of each map in pixels of the image, ends exclusive.
    """

    rows: Tensor
    cols: Tensor
    boxes: list[Box]

    def masks(self, size: tuple[int, int]) -> Tensor:
        """Return the regions in an image of a size (H, W), bool (n, H, W)."""
        masks = torch.zeros(len(self.boxes), *size, dtype=torch.bool)
        for mask, (top, left, bottom, right) in zip(masks, self.boxes, strict=True):
            mask[top:bottom, left:right] = True
        return masks


def shown_regions(maps: Tensor, own_class: Tensor) -> ShownRegions:
    """Return the region that is shown for each activation map, on the CPU.

    Args:
        maps: Activations (n, h, w).
        own_class: Pixels of the class, at least one on the feature grid, bool (H, W).
    """
    maps, own_class = maps.detach().cpu(), own_class.cpu()
    grid = (maps.shape[1], maps.shape[2])
    place = maps.masked_fill(~labels_at(own_class, grid), -torch.inf).flatten(1).argmax(1)
    rows, cols = place // grid[1], place % grid[1]
    own = own_class.numpy()
    boxes = [
        active_region(one, own, row, col)
        for one, row, col in zip(maps, rows.tolist(), cols.tolist(), strict=True)
    ]
    return ShownRegions(rows, cols, boxes)


def control_areas(shown: Tensor, own_class: Tensor, seed: int) -> Tensor:
    """Return areas of the class outside of regions, of as many pixels as each has.

    An area has the pixels that are nearest to a random one, so it is about as compact as a region.

    Args:
        shown: Regions, bool (n, H, W).
        own_class: Pixels of the class, bool (H, W).
        seed: Seed of the places.

    Returns:
        Areas, bool (n, H, W), on the CPU; empty where the class has too few pixels.
    """
    shown, own_class = shown.cpu(), own_class.cpu()
    generator = torch.Generator().manual_seed(seed)
    areas = torch.zeros_like(shown)
    for area, region in zip(areas, shown, strict=True):
        pixels = (own_class & ~region).nonzero()
        count = int(region.sum())
        if len(pixels) >= count:
            centre = pixels[torch.randint(len(pixels), (1,), generator=generator)]
            nearest = (pixels - centre).square().sum(1).argsort(stable=True)[:count]
            area[tuple(pixels[nearest].T)] = True
    return areas


def box_overlaps(first: Sequence[Box], second: Sequence[Box]) -> Tensor:
    """Return the intersection over union of each pair of boxes, float64 (n,).

    Example:
        >>> box_overlaps([(0, 0, 2, 2)], [(0, 1, 2, 3)])
        tensor([0.3333], dtype=torch.float64)
    """
    one, other = (torch.tensor(boxes, dtype=torch.float64).view(-1, 4) for boxes in (first, second))
    starts, ends = torch.maximum(one, other)[:, :2], torch.minimum(one, other)[:, 2:]
    common = (ends - starts).clamp_min(0).prod(1)
    sizes = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (one, other)]
    return common / (sizes[0] + sizes[1] - common)
