"""Frequencies of the classes in a data set."""

from typing import Protocol

import torch
from torch import Tensor

from protoxai.labels import check_labels


class _HasLabels(Protocol):
    @property
    def labels(self) -> Tensor: ...


class _Labelled(Protocol):
    ignore_index: int

    @property
    def num_classes(self) -> int: ...

    def __len__(self) -> int: ...

    def raw(self, index: int) -> _HasLabels: ...


def class_frequencies(dataset: _Labelled, limit: int | None = None) -> Tensor:
    """Return the share of every class among the labelled pixels.

    Useful for class weights, e.g. ``class_frequencies(dataset).clamp_min(1e-4) ** -0.5`` (a class
    that does not occur has frequency 0).

    Args:
        dataset: Data set, or any object with ``raw(index).labels``, ``num_classes`` and
            ``ignore_index``.
        limit: Number of samples to read, spread evenly over the data set; None reads all.

    Returns:
        Frequencies (C,), float64, which sum to 1.

    Raises:
        ValueError: If ``limit`` < 1, a label is out of range, or no pixel is labelled at all.

    Example:
        >>> from protoxai.data import Shapes
        >>> frequencies = class_frequencies(Shapes(size=64), limit=20)
        >>> frequencies.shape, bool(frequencies.argmax() == 0)
        (torch.Size([9]), True)
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit={limit}: read one sample or more, or None for all of them")
    total = len(dataset)
    count = total if limit is None else min(limit, total)
    pixels = torch.zeros(dataset.num_classes, dtype=torch.int64)
    for step in range(count):
        index = step * total // count
        labels = dataset.raw(index).labels
        check_labels(labels, dataset.num_classes, dataset.ignore_index, source=f"sample {index}")
        counted = labels[labels != dataset.ignore_index]
        pixels += counted.bincount(minlength=dataset.num_classes)
    if not int(pixels.sum()):
        raise ValueError(
            f"there is no labelled pixel in {count} samples (all are {dataset.ignore_index}): "
            "check the label files and the void value"
        )
    return pixels.double() / pixels.sum()
