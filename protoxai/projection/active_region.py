"""What a prototype saw around its patch: the region of the image where it was most active."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from protoxai.prototypes.provenance import Box
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.distributed import gather

QUANTILE = 0.95


def patch_box(row: int, col: int, grid: tuple[int, int], size: tuple[int, int]) -> Box:
    """Return the box of a feature pixel in pixels of the original image, ends exclusive.

    Rows are ``floor(row H / h)`` to ``floor((row + 1) H / h) + 1``, clipped to the image.

    Args:
        row: of the feature pixel.
        col: of it.
        grid: height and width (h, w) of the feature grid.
        size: height and width (H, W) of the image.

    Example:
        >>> patch_box(1, 0, grid=(4, 4), size=(32, 32))
        (8, 0, 17, 9)
    """
    (h, w), (height, width) = grid, size
    bottom = min((row + 1) * height // h + 1, height)
    right = min((col + 1) * width // w + 1, width)
    return row * height // h, col * width // w, bottom, right


@dataclass(frozen=True)
class SeenPatch:
    """A prototype's image, as far as the active region needs it.

    Attributes:
        image_index: data set index of the image.
        name: of the image.
        grid: height and width of the feature grid.
        size: height and width of the image.
        activation: of the prototype (h, w).
        own_class: packed bits of where the label is the prototype's class.
    """

    image_index: int
    name: str
    grid: tuple[int, int]
    size: tuple[int, int]
    activation: Tensor
    own_class: NDArray[np.uint8]

    def active_region(self, row: int, col: int) -> Box:
        """Return the box of the 8-connected active region that holds the patch.

        Active is what reaches the 95th percentile of the activation, upsampled (cubic), within the
        class; the patch always is.
        """
        from skimage.measure import label

        activation = F.interpolate(
            self.activation[None, None].float(), self.size, mode="bicubic", align_corners=False
        )[0, 0].numpy()
        bits = np.unpackbits(self.own_class, count=activation.size)
        own_class = bits.astype(bool).reshape(self.size)
        active = activation >= np.quantile(activation[own_class], QUANTILE)
        top, left, bottom, right = patch_box(row, col, self.grid, self.size)
        active[top:bottom, left:right] = True
        regions = label(active, connectivity=2)
        region = regions == regions[top, left]
        rows, cols = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
        return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


class ActiveRegions:
    """Remembers, while prototypes are searched, the image behind each one's nearest patch.

    Memory grows with prototypes times pixels of a feature map, not with images.

    Args:
        table: class and scale of each prototype.
        prototypes: (P, D), as they are searched for.
        activation: from squared distance to activation.
    """

    def __init__(
        self,
        table: PrototypeTable,
        prototypes: Tensor,
        activation: Callable[[Tensor], Tensor],
    ) -> None:
        self.seen: dict[int, SeenPatch] = {}
        self._classes = table.class_index.tolist()
        self._scales = table.scale_index.tolist()
        self._prototypes = prototypes.detach().clone()
        self._activation = activation

    def remember(
        self,
        moved: Tensor,
        places: Tensor,
        embedding: Tensor,
        labels: Tensor,
        image_indices: Sequence[int],
        names: Sequence[str],
    ) -> None:
        """Remember the images of the prototypes that found a nearer patch in this batch.

        Args:
            moved: numbers of those prototypes.
            places: their image index, row and column, (n, 3).
            embedding: of the batch (B, S, D, h, w).
            labels: of the batch (B, H, W), in the images' own resolution.
            image_indices: data set index of each image.
            names: of the images.
        """
        own_class: dict[tuple[int, int], NDArray[np.uint8]] = {}
        in_batch = {index: b for b, index in enumerate(image_indices)}
        height, width = labels.shape[1:]
        grid = (embedding.shape[3], embedding.shape[4])
        for number, (image, _, _) in zip(moved.tolist(), places.tolist(), strict=True):
            b = in_batch[image]
            vectors = embedding[b, self._scales[number]].to(self._prototypes)
            prototype = self._prototypes[number][:, None, None]
            activation = self._activation((vectors - prototype).square().sum(0))
            key = (b, self._classes[number])
            if key not in own_class:
                own_class[key] = np.packbits((labels[b] == key[1]).cpu().numpy())
            self.seen[number] = SeenPatch(
                image,
                names[b],
                grid,
                (height, width),
                activation.cpu(),
                own_class[key],
            )

    def merge_ranks(self, image_index: Tensor) -> None:
        """Take over, from whichever rank saw it, the image that each prototype ended with."""
        everyone = gather(self.seen)
        for number, image in enumerate(image_index.tolist()):
            for seen in everyone:
                if number in seen and seen[number].image_index == image:
                    self.seen[number] = seen[number]
                    break
