"""Class samples: training pixels of each class, to calibrate distances to its prototypes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoxai.kernels import exact_squared_distances
from protoxai.projection.batches import EmbeddedBatch
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.distributed import gather
from protoxai.runtime.precision import widen

PIXELS = 256
"""Largest number of pixels of a class."""
# A key has the turn of a pixel in its image in the upper 8 bits, the image's hash in the others.
_TURN = np.uint64(56)
_HASH = np.uint64(8)
Keys = NDArray[np.uint64]


class ClassSamples:
    """Sample, during the search, of the pixels of each class, spread over the images.

    Every image gives one pixel of each of its classes, in a second turn another one, and so on,
    until a class has 256. Within a turn, the order of the images is that of a hash of their data
    set indices; within an image, that of a hash of the pixels' positions. So the sample depends on
    the data set alone: neither on batches, nor on the order of the images, nor on processes. Memory
    does not grow with the number of images.

    Args:
        table: Class and scale of each prototype.

    Example:
        >>> samples = ClassSamples(PrototypeTable([0, 0], [0, 0], num_classes=1, num_scales=1))
        >>> maps, labels = torch.tensor([[[[[0.2, 0.6]]]]]), torch.zeros(1, 1, 2, dtype=torch.long)
        >>> samples.update(EmbeddedBatch(maps, labels, labels, [0], ["a"], torch.zeros(1, 3, 1, 2)))
        >>> samples.compute(torch.tensor([[0.2], [0.6]])).sort().values
        tensor([[0.0000, 0.1600],
                [0.0000, 0.1600]])
    """

    def __init__(self, table: PrototypeTable) -> None:
        self._table = table.to("cpu")
        self._pixels = {index: _Smallest() for index in self._table.classes.tolist()}

    @torch.no_grad()
    def update(self, batch: EmbeddedBatch) -> None:
        """Add the pixels of a batch.

        Args:
            batch: Labelled images with their embedding.
        """
        labels = batch.on_grid.flatten(1).cpu().numpy()
        found = [
            (class_index, image, positions, keys)
            for image, index in enumerate(batch.indices)
            for class_index, positions, keys in self._candidates(labels[image], index)
        ]
        if not found:
            return
        classes, images, positions, keys = zip(*found, strict=True)
        counts = [len(own) for own in keys]
        image = torch.tensor(images).repeat_interleave(torch.tensor(counts))
        position = torch.from_numpy(np.concatenate(positions))
        flat = batch.embedding.flatten(3)
        device = flat.device
        vectors = flat[image.to(device), :, :, position.to(device)].cpu()
        for class_index, own_keys, own in zip(classes, keys, vectors.split(counts), strict=True):
            self._pixels[class_index].add(own_keys, own)

    def compute(self, prototypes: Tensor) -> Tensor:
        """Return the squared distances from the pixels of each prototype's class to it.

        Processes exchange hashes and distances, not embeddings.

        Args:
            prototypes: Projected prototypes (P, D).

        Returns:
            Squared distances, float32 (P, n) on the CPU: n is the largest number of pixels of a
            class, at most 256. A column is the same pixel for all prototypes of a class; it is NaN
            where the class has fewer pixels.
        """
        own = {index: pixels.sorted() for index, pixels in self._pixels.items()}
        shares = gather({index: keys for index, (keys, _) in own.items()})
        chosen = {
            index: np.unique(np.concatenate([share[index] for share in shares]))[:PIXELS]
            for index in own
        }
        most = max(map(len, chosen.values()))
        distances = torch.full((len(self._table), most), torch.nan)
        blocks = [
            self._block(index, chosen[index], *own[index], prototypes.detach().cpu())
            for index in own
        ]
        for share in gather(blocks):
            for rows, columns, block in share:
                distances[rows[:, None], columns] = block
        return distances

    def _candidates(
        self, labels: NDArray[np.int64], image_index: int
    ) -> list[tuple[int, NDArray[np.int64], Keys]]:
        """Return class, positions and keys of the pixels of an image that may be in the sample."""
        image_hash = _mixed(np.array([image_index], dtype=np.uint64))
        positions: Keys = np.arange(len(labels), dtype=np.uint64)
        order = np.argsort(_mixed(np.add(image_hash, positions, dtype=np.uint64)))
        ordered = labels[order]
        found = []
        for class_index in np.unique(labels).tolist():
            if class_index not in self._pixels:
                continue
            chosen = order[ordered == class_index][:PIXELS]
            turns = np.arange(len(chosen), dtype=np.uint64)
            keys = (turns << _TURN) | (image_hash >> _HASH)
            kept = keys <= self._pixels[class_index].limit
            if kept.any():
                found.append((class_index, chosen[kept], keys[kept]))
        return found

    def _block(
        self, class_index: int, chosen: Keys, keys: Keys, vectors: Tensor, prototypes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return rows, columns and distances of a class's prototypes and this process's pixels."""
        rows = (self._table.class_index == class_index).nonzero().flatten()
        is_chosen = np.isin(keys, chosen)
        columns = torch.from_numpy(np.searchsorted(chosen, keys[is_chosen]))
        vectors = vectors[torch.from_numpy(is_chosen)]
        block = torch.empty(len(rows), len(columns))
        for row, prototype in enumerate(rows.tolist() if len(columns) else ()):
            of_scale = vectors[:, self._table.scale_index[prototype]]
            pair = widen(of_scale, prototypes[prototype])
            block[row] = exact_squared_distances(*pair).float()
        return rows, columns, block


class _Smallest:
    """The pixels of a class with the smallest keys, of which there are at most 256.

    Attributes:
        limit: Largest key of a pixel that may be among them.
    """

    def __init__(self) -> None:
        self.limit = np.uint64(2**64 - 1)
        self._keys: list[Keys] = []
        self._vectors: list[Tensor] = []
        self._count = 0

    def add(self, keys: Keys, vectors: Tensor) -> None:
        """Add pixels with their keys (n,) and vectors (n, S, D)."""
        self._keys.append(keys)
        self._vectors.append(vectors)
        self._count += len(keys)
        # Sorting now and then copies less than sorting each time.
        if self._count >= 2 * PIXELS:
            self.sorted()

    def sorted(self) -> tuple[Keys, Tensor]:
        """Return the keys, ascending and each once, and the vectors."""
        if not self._keys:
            return np.empty(0, dtype=np.uint64), torch.empty(0)
        keys, first = np.unique(np.concatenate(self._keys), return_index=True)
        keys, first = keys[:PIXELS], first[:PIXELS]
        vectors = torch.cat(self._vectors)[torch.from_numpy(first)]
        self._keys, self._vectors, self._count = [keys], [vectors], len(keys)
        if len(keys) == PIXELS:
            self.limit = keys[-1]
        return keys, vectors


def _mixed(values: Keys) -> Keys:
    """Return the hash of each value: SplitMix64 (Steele et al., OOPSLA 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
