"""Samples of the labelled cells of a feature grid, a bounded number of each class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoxai.runtime.distributed import gather, rank


class SampledCells:
    """Uniform random samples of each class's labelled cells, of bounded total size.

    Every cell draws a random key, and each class keeps the cells with the smallest ones. Classes
    with few cells keep all of them; the others share what remains of the total. The result does
    not depend on how cells are divided into batches.

    Args:
        num_classes: Number of classes C.
        most: Largest number of cells to keep; at least one of each class is kept.
        seed: Seed of the keys.

    Attributes:
        labels: Class of each kept cell, int64 (n,), on the CPU.
        units: Values (n, U) of each kept cell, on any device; None before there are any.
        counts: Number of cells of each class that were offered, int64 (C,).
    """

    def __init__(self, num_classes: int, most: int, seed: int) -> None:
        self.labels = torch.zeros(0, dtype=torch.long)
        self.units: Tensor | None = None
        self.counts = torch.zeros(num_classes, dtype=torch.long)
        self._keys = torch.zeros(0, dtype=torch.float64)
        # The largest key that a cell of each class may have to be kept.
        self._limit = torch.full((num_classes,), torch.inf, dtype=torch.float64)
        self._most = most
        # Processes draw different keys for their different cells.
        self._random = np.random.default_rng([seed, rank()])

    def update(self, labels: Tensor, units_of: Callable[[Tensor], Tensor]) -> None:
        """Add cells.

        Args:
            labels: Class of each cell, int64 (n,), on the CPU.
            units_of: Function from indices (k,) of cells to their values (k, U); it is called for
                those that may be kept only.
        """
        self.counts += torch.bincount(labels, minlength=len(self.counts))
        keys = torch.from_numpy(self._random.random(len(labels)))
        chosen = (keys <= self._limit[labels]).nonzero().flatten()
        if len(chosen):
            self._add(keys[chosen], labels[chosen], units_of(chosen))
        self._trim()

    def merge_processes(self) -> None:
        """Adopt the cells of all processes, in the order of their ranks."""
        units = None if self.units is None else self.units.cpu()
        shares = gather((self._keys, self.labels, units, self.counts))
        if len(shares) == 1:
            return
        device = None if self.units is None else self.units.device
        self._keys, self.labels, self.units = self._keys[:0], self.labels[:0], None
        self.counts = torch.stack([counts for *_, counts in shares]).sum(0)
        for keys, labels, values, _ in shares:
            if values is not None:
                self._add(keys, labels, values.to(device or values.device))
        self._trim()

    def weights(self) -> Tensor:
        """Return how many of the offered cells each kept one stands for, float64 (n,)."""
        kept = torch.bincount(self.labels, minlength=len(self.counts))
        return (self.counts / kept.clamp_min(1))[self.labels].double()

    def _add(self, keys: Tensor, labels: Tensor, units: Tensor) -> None:
        self._keys = torch.cat([self._keys, keys])
        self.labels = torch.cat([self.labels, labels])
        self.units = units if self.units is None else torch.cat([self.units, units])

    def _trim(self) -> None:
        """Drop the cells with the largest keys of the classes that have too many."""
        if self.units is None or int(self.counts.sum()) <= self._most:
            return
        level = _level(self.counts.numpy(), self._most)
        order = torch.from_numpy(np.lexsort((self._keys.numpy(), self.labels.numpy())))
        by_class = self.labels[order]
        first = torch.searchsorted(by_class, torch.arange(len(self.counts)))
        place = torch.arange(len(order)) - first[by_class]
        last = order[place == level - 1]
        self._limit[self.labels[last]] = self._keys[last]
        kept = order[place < level].sort().values
        self._keys, self.labels = self._keys[kept], self.labels[kept]
        self.units = self.units[kept.to(self.units.device)]


def _level(counts: NDArray[np.int64], most: int) -> int:
    """Return the largest number that each class may keep, so that all keep ``most`` or fewer."""
    low, high = 1, int(counts.max())
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(counts, middle).sum()) <= most:
            low = middle
        else:
            high = middle - 1
    return low
