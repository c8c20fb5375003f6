"""Active regions: where in its training image a projected prototype is most active."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from protoxai.kernels import exact_squared_distances
from protoxai.projection.batches import EmbeddedBatch
from protoxai.prototypes.provenance import Box
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.components import connected_components
from protoxai.runtime.distributed import gather

QUANTILE = 0.95
"""Quantile of the activation within the class that bounds the active region."""


def patch_box(row: int, col: int, grid: tuple[int, int], size: tuple[int, int]) -> Box:
    """Return the box of a feature pixel in pixels of the original image, ends exclusive.

    The rows are ``floor(row H / h)`` to ``floor((row + 1) H / h) + 1``, clipped to the image; the
    columns follow the same rule.

    Args:
        row: Row of the feature pixel on the feature grid.
        col: Column of the feature pixel on the feature grid.
        grid: Height and width (h, w) of the feature grid.
        size: Height and width (H, W) of the image.

    Example:
        >>> patch_box(1, 0, grid=(4, 4), size=(32, 32))
        (8, 0, 17, 9)
    """
    (h, w), (height, width) = grid, size
    bottom = min((row + 1) * height // h + 1, height)
    right = min((col + 1) * width // w + 1, width)
    return row * height // h, col * width // w, bottom, right


def active_region(activation: Tensor, own_class: NDArray[np.bool_], row: int, col: int) -> Box:
    """Return the bounding box of the 8-connected active region that contains a patch.

    A pixel is active if its activation, upsampled bicubically, reaches the 95th percentile of the
    activation within the class. The patch itself is always active.

    Args:
        activation: Activation (h, w) of a prototype.
        own_class: Pixels of the prototype's class, at least one, bool (H, W).
        row: Row of the patch on the feature grid.
        col: Column of the patch on the feature grid.
    """
    grid, size = (activation.shape[0], activation.shape[1]), own_class.shape
    upsampled = F.interpolate(
        activation[None, None].float(), size, mode="bicubic", align_corners=False
    )[0, 0].numpy()
    active = upsampled >= np.quantile(upsampled[own_class], QUANTILE)
    top, left, bottom, right = patch_box(row, col, grid, (size[0], size[1]))
    active[top:bottom, left:right] = True
    components, _ = connected_components(active)
    region = components == components[top, left]
    rows, cols = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


@dataclass(frozen=True)
class SourceImage:
    """Training image of a prototype's nearest patch, reduced to what its active region requires.

    Attributes:
        image_index: Data set index of the image.
        name: Name of the image.
        grid: Height and width (h, w) of the feature grid.
        size: Height and width (H, W) of the image.
        activation: Activation (h, w) of the prototype.
        own_class: Packed bits of the pixels whose label is the prototype's class.
    """

    image_index: int
    name: str
    grid: tuple[int, int]
    size: tuple[int, int]
    activation: Tensor
    own_class: NDArray[np.uint8]

    def active_region(self, row: int, col: int) -> Box:
        """Return the box of the active region, see :func:`active_region`.

        Args:
            row: Row of the patch on the feature grid.
            col: Column of the patch on the feature grid.
        """
        bits = np.unpackbits(self.own_class, count=self.size[0] * self.size[1])
        own_class = bits.astype(bool).reshape(self.size)
        return active_region(self.activation, own_class, row, col)


class ActiveRegion(NamedTuple):
    """Active region of a projected prototype, and the image that it lies in.

    Attributes:
        name: Name of the image.
        grid: Height and width (h, w) of the feature grid.
        size: Height and width (H, W) of the image.
        box: Bounding box of the region.
    """

    name: str
    grid: tuple[int, int]
    size: tuple[int, int]
    box: Box


class ActiveRegions:
    """Record, during the search, of the image with each prototype's nearest patch so far.

    Memory grows with the number of prototypes times the pixels of a feature map, not with the
    number of images.

    Args:
        table: Class and scale of each prototype.
        prototypes: Prototypes (P, D) at the start of the search.
        activation: Function from squared distances to activations.

    Attributes:
        sources: Source image by prototype.
    """

    def __init__(
        self,
        table: PrototypeTable,
        prototypes: Tensor,
        activation: Callable[[Tensor], Tensor],
    ) -> None:
        self.sources: dict[int, SourceImage] = {}
        self._classes = table.class_index.tolist()
        self._scales = table.scale_index.tolist()
        self._prototypes = prototypes.detach().clone()
        self._activation = activation

    def record(self, updated: Tensor, places: Tensor, batch: EmbeddedBatch) -> None:
        """Record the images of the prototypes whose nearest patch is in this batch.

        Args:
            updated: Indices (n,) of those prototypes.
            places: Image index, row and column of their patches, (n, 3).
            batch: The batch.
        """
        own_class: dict[tuple[int, int], NDArray[np.uint8]] = {}
        embedding, labels = batch.embedding, batch.labels
        in_batch = {index: b for b, index in enumerate(batch.indices)}
        height, width = labels.shape[1:]
        grid = (embedding.shape[3], embedding.shape[4])
        for prototype, (image, _, _) in zip(updated.tolist(), places.tolist(), strict=True):
            b = in_batch[image]
            vectors = embedding[b, self._scales[prototype]].to(self._prototypes).movedim(0, -1)
            distances = exact_squared_distances(vectors, self._prototypes[prototype])
            activation = self._activation(distances)
            key = (b, self._classes[prototype])
            if key not in own_class:
                own_class[key] = np.packbits((labels[b] == key[1]).cpu().numpy())
            self.sources[prototype] = SourceImage(
                image,
                batch.names[b],
                grid,
                (height, width),
                activation.cpu(),
                own_class[key],
            )

    def compute(self, kept: Tensor, places: Tensor) -> dict[int, ActiveRegion]:
        """Return the active regions of prototypes, each measured by the rank with its image.

        Ranks exchange boxes, not maps.

        Args:
            kept: Indices (n,) of the prototypes.
            places: Image index, row and column (P, 3) of every prototype's patch over all ranks;
                -1 if its class never occurred.

        Returns:
            Active region by prototype, without those whose class never occurred.
        """
        boxes, images = [], {}
        for prototype in kept.tolist():
            image, row, col = places[prototype].tolist()
            source = self.sources.get(prototype)
            if source is not None and source.image_index == image:
                boxes.append((prototype, image, *source.active_region(row, col)))
                images[image] = source.name, source.grid, source.size
        regions = {}
        for rows, known in gather((np.array(boxes, dtype=np.int64).reshape(-1, 6), images)):
            for prototype, image, top, left, bottom, right in rows.tolist():
                name, grid, size = known[image]
                regions[prototype] = ActiveRegion(name, grid, size, (top, left, bottom, right))
        return regions
