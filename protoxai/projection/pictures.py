"""Pictures of the training images around the projected prototypes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoxai.kernels import exact_squared_distances
from protoxai.model.prototype_segmenter import PrototypeSegmenter
from protoxai.projection.active_region import ActiveRegion
from protoxai.projection.batches import EmbeddedBatch
from protoxai.prototypes.patches import ACTIVATION_SIDE, Patch, context_window
from protoxai.prototypes.provenance import Box
from protoxai.runtime.checks import shown
from protoxai.runtime.distributed import gather_results

ImageOf = Callable[[int], "Tensor | NDArray[np.uint8]"]
Pixels = NDArray[np.uint8]
# Of the images of batches, which are compressed a second time for the model.
COPY_QUALITY = 95


@dataclass(frozen=True)
class NearestImage:
    """Image with the patch that is nearest to a prototype so far.

    Attributes:
        image_index: Data set index of the image.
        activation: Activation (h, w) of the projected prototype, uint8, 255 for its highest.
    """

    image_index: int
    activation: Tensor


class Pictures:
    """Record, during the search, of what the patches of the prototypes show.

    Without ``image_of``, a compressed copy is kept of each image that holds a nearest patch; memory
    does not grow with the number of images.

    Args:
        model: Model whose prototypes are projected.
        image_of: Function from the data set index of an image to the original image, uint8
            (3, H, W), of the size of its labels; None for the images of the batches.
    """

    def __init__(self, model: PrototypeSegmenter, image_of: ImageOf | None) -> None:
        self.nearest: dict[int, NearestImage] = {}
        self._copies: dict[int, bytes] = {}
        self._image_of = image_of
        self._scales = model.table.scale_index.tolist()
        self._activation = model.prototype_layer.activation
        self._mean, self._std = (
            torch.tensor(values)[:, None, None] for values in (model.mean, model.std)
        )

    def record(
        self, updated: Tensor, places: Tensor, vectors: Tensor, batch: EmbeddedBatch
    ) -> None:
        """Record the images of the prototypes whose nearest patch is in a batch.

        Args:
            updated: Indices (n,) of those prototypes.
            places: Image index, row and column of their patches, (n, 3).
            vectors: Embedding vectors (n, D) of their patches.
            batch: The batch.
        """
        in_batch = {index: b for b, index in enumerate(batch.indices)}
        highest = self._activation(vectors.new_zeros(1))
        rows = zip(updated.tolist(), places[:, 0].tolist(), vectors, strict=True)
        for prototype, image, vector in rows:
            maps = batch.embedding[in_batch[image], self._scales[prototype]]
            distances = exact_squared_distances(maps.to(vector).movedim(0, -1), vector)
            share = self._activation(distances) / highest
            activation = (share * 255).round().to(torch.uint8)
            self.nearest[prototype] = NearestImage(image, activation)
        if self._image_of is None and len(updated):
            held = {entry.image_index for entry in self.nearest.values()}
            self._copies = {index: copy for index, copy in self._copies.items() if index in held}
            for image in held.intersection(in_batch):
                self._copies[image] = self._copy(batch.images[in_batch[image]])

    def compute(
        self, kept: Tensor, places: Tensor, regions: Mapping[int, ActiveRegion]
    ) -> tuple[Patch | None, ...]:
        """Return the patches of prototypes, each made by the process with its image.

        Args:
            kept: Indices (n,) of the prototypes.
            places: Image index, row and column (P, 3) of every prototype's patch over all
                processes.
            regions: Active region by prototype.

        Raises:
            TypeError: If an original image is not uint8.
            ValueError: If it has not the size of its labels.
        """
        images = places[:, 0].tolist()
        by_image: dict[int, list[int]] = {}
        for prototype in kept.tolist():
            nearest = self.nearest.get(prototype)
            if nearest is not None and nearest.image_index == images[prototype]:
                by_image.setdefault(images[prototype], []).append(prototype)
        shares = gather_results(lambda: self._patches(by_image, regions))
        patches = {prototype: patch for share in shares for prototype, patch in share.items()}
        return tuple(patches.get(prototype) for prototype in kept.tolist())

    def _patches(
        self, by_image: Mapping[int, list[int]], regions: Mapping[int, ActiveRegion]
    ) -> dict[int, Patch]:
        patches = {}
        for index, prototypes in by_image.items():
            size = regions[prototypes[0]].size
            image = self._original(index, size)
            for prototype in prototypes:
                window = context_window(regions[prototype].box, size)
                cells = self.nearest[prototype].activation.cpu().numpy()
                activation = over_window(cells, window, size)
                patches[prototype] = Patch.cut(image, window, activation, size)
        return patches

    def _original(self, index: int, size: tuple[int, int]) -> Pixels:
        """Return the original image, or the copy of that of the batch."""
        if self._image_of is None:
            return _decoded(self._copies[index])
        image = self._image_of(index)
        pixels = image.cpu().numpy() if isinstance(image, Tensor) else image
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
            raise TypeError(
                f"image_of({index}) is {shown(image)}, expected a uint8 image (3, H, W), such as "
                "dataset.raw(index).image"
            )
        if pixels.shape != (3, *size):
            raise ValueError(
                f"image_of({index}) has shape {pixels.shape}, expected {(3, *size)}: the image "
                "that the labels cover"
            )
        # Pixels lie together in memory, so that each patch is cut without a copy.
        return np.ascontiguousarray(pixels.transpose(1, 2, 0)).transpose(2, 0, 1)

    def _copy(self, image: Tensor) -> bytes:
        from PIL import Image

        colours = (image.detach().cpu().float() * self._std + self._mean).clamp(0, 1)
        pixels = (colours * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=COPY_QUALITY, subsampling=0)
        return file.getvalue()


def over_window(cells: Pixels, window: Box, size: tuple[int, int]) -> Pixels:
    """Return an activation over a window of the original image, at most 24 x 24.

    Every entry is the largest activation of the cells at the centres of equal parts of its pixels.
    There are as many parts as it takes to visit each cell of the window.

    Args:
        cells: Activation (h, w) on the feature grid.
        window: Window in pixels of the original image.
        size: Height and width (H, W) of the original image.

    Returns:
        Activation (rows, cols), at most 24 each.

    Example:
        >>> over_window(np.arange(6, dtype=np.uint8).reshape(2, 3), (0, 1, 2, 3), size=(2, 3))
        array([[1, 2],
               [4, 5]], dtype=uint8)
    """
    axes = zip(window[:2], window[2:], cells.shape, size, strict=True)
    (rows, row_parts), (cols, col_parts) = (_visited(*axis) for axis in axes)
    visited = cells[rows[:, None], cols]
    blocks = visited.reshape(len(rows) // row_parts, row_parts, len(cols) // col_parts, col_parts)
    largest: Pixels = blocks.max((1, 3))
    return largest


def _visited(start: int, stop: int, cells: int, pixels: int) -> tuple[NDArray[np.int64], int]:
    """Return the cell at the centre of each part of a window, and the number of parts per entry."""
    length = stop - start
    entries = min(ACTIVATION_SIDE, length)
    inside = -(-stop * cells // pixels) - start * cells // pixels
    parts = math.ceil(inside / entries)
    count = entries * parts
    # In whole numbers: the centre of part i is start + (i + 1/2) * length / count.
    centres = (2 * np.arange(count) + 1) * length + 2 * start * count
    return centres * cells // (2 * count * pixels), parts


def _decoded(copy: bytes) -> Pixels:
    from PIL import Image

    with Image.open(io.BytesIO(copy)) as image:
        return np.array(image).transpose(2, 0, 1)
