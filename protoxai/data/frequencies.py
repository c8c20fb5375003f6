"""Frequencies of the classes in a data set."""

import torch
from torch import Tensor

from protoxai.data.label_check import Labelled, count_labels


def class_frequencies(dataset: Labelled, limit: int | None = None) -> Tensor:
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
    counts = count_labels(dataset, limit)
    if counts.labelled == 0:
        raise ValueError(
            f"there is no labelled pixel in {counts.read} samples (all are "
            f"{dataset.ignore_index}): check the label files and the void value"
        )
    pixels = torch.tensor(counts.pixels)
    return pixels.double() / pixels.sum()
