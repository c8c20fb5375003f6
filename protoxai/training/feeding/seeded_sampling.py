"""The order of training samples and their augmentation, as a function of the seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from protoxai.runtime.distributed import rank, world_size


def mixed_seed(*parts: int) -> int:
    """Return one seed for several numbers; different numbers give unrelated seeds."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


class SeededSamples(Dataset[Any]):
    """An endless sequence of samples: shuffled passes over the data, one after another.

    Sample k and every random choice of its transform depend on the seed and on k only: not on the
    samples before it, the number of workers or the number of processes. A run can therefore
    continue from any sample as if it had never stopped.

    Args:
        data: Data set with the samples.
        seed: Seed of the order and of the transforms.

    Example:
        >>> samples = SeededSamples(["a", "b", "c"], seed=0)
        >>> sorted(samples[k] for k in range(3, 6))
        ['a', 'b', 'c']
    """

    def __init__(self, data: Any, seed: int) -> None:
        self._data = data
        self._seed = seed
        self._epoch = -1
        self._order: list[int] = []

    def __getitem__(self, number: int) -> Any:
        epoch, position = divmod(number, len(self._data))
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(mixed_seed(self._seed, 0, epoch))
            self._order = torch.randperm(len(self._data), generator=generator).tolist()
            self._epoch = epoch
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mixed_seed(self._seed, 1, number))
            return self._data[self._order[position]]


class SeededBatches(Sampler[list[int]]):
    """The sample numbers of each batch of this process.

    Batch j of all processes together holds ``world size x batch_size`` consecutive samples, so
    that two processes see the same samples as one with the double batch.

    Args:
        start: Number of the first batch; those before were trained on already.
        stop: Total number of batches.
        batch_size: Number of samples per batch and process.
        shared: Whether every process sees all batches, instead of its share.
    """

    def __init__(self, start: int, stop: int, batch_size: int, *, shared: bool = False) -> None:
        self._batches = range(start, stop)
        self._batch_size = batch_size
        self._processes, self._process = (1, 0) if shared else (world_size(), rank())

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            first = (batch * self._processes + self._process) * self._batch_size
            yield list(range(first, first + self._batch_size))
