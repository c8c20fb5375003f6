"""Data sets that are streamed from a store instead of a disk."""

from __future__ import annotations

import copy
import os
from typing import Any

from protoxai.runtime.checks import shown


class StreamedItems:
    """The samples of litdata's ``StreamingDataset`` by number, for :class:`MappedDataset`.

    litdata spreads iteration over processes and workers by itself, and its length is that of one
    process's share. Here the training decides which process reads which sample, so that every
    sample counts once in projection and evaluation, and a run can be resumed: the length is that
    of the whole data set, and each process opens it for itself.

    Args:
        dataset: ``litdata.StreamingDataset`` without ``shuffle``, from which nothing has been read.

    Example:
        >>> StreamedItems(litdata.StreamingDataset("s3://scans/train"))  # doctest: +SKIP
    """

    def __init__(self, dataset: Any) -> None:
        if not hasattr(dataset, "region_of_interest"):
            raise TypeError(f"dataset is {shown(dataset)}, expected a litdata.StreamingDataset")
        self._dataset = dataset
        self._opened: tuple[int, Any] = (0, None)

    def __len__(self) -> int:
        return sum(stop - start for start, stop in self._dataset.region_of_interest)

    def __getitem__(self, index: int) -> Any:
        # What reads in the background does not survive in the workers of a loader.
        if self._opened[0] != os.getpid():
            self._opened = os.getpid(), copy.copy(self._dataset)
        return self._opened[1][index]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": (0, None)}
