"""Predict labels at image resolution without resizing the logits of all classes at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from protoxai.runtime.checks import pair
from protoxai.runtime.resize import resize
from protoxai.runtime.tensors import tensor

CLASSES_AT_ONCE = 16


@torch.no_grad()
def predicted_labels(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Return the class with the largest logit at every pixel; of equal ones, the first.

    Logits are resized bilinearly, image by image and a few classes at a time, so memory does not
    grow with the number of classes.

    Args:
        logits: Logits (B, C, h, w).
        size: Height and width (H, W) of the labels.

    Returns:
        Labels int64 (B, H, W).

    Example:
        >>> import torch
        >>> predicted_labels(torch.tensor([[[[0.0, 2.0]], [[1.0, 0.0]]]]), (1, 4))
        tensor([[[1, 1, 0, 0]]])
    """
    tensor("logits", logits, "batch classes height width")
    size = pair("size", size)
    if tuple(logits.shape[2:]) == tuple(size):
        return logits.max(1).indices
    labels = logits.new_empty(len(logits), *size, dtype=torch.long)
    for image_logits, image_labels in zip(logits, labels, strict=True):
        image_labels.copy_(_labels(image_logits[None], size)[0])
    return labels


def _labels(logits: Tensor, size: Sequence[int]) -> Tensor:
    # With channels last, the classes of a pixel are adjacent, which makes their maximum several
    # times faster.
    labels = logits.new_zeros(1, *size, dtype=torch.long)
    largest = logits.new_full((1, *size), -torch.inf)
    for start in range(0, logits.shape[1], CLASSES_AT_ONCE):
        part = logits[:, start : start + CLASSES_AT_ONCE]
        resized = resize(part.contiguous(memory_format=torch.channels_last), size)
        values, indices = resized.max(1)
        labels = torch.where(values > largest, indices + start, labels)
        largest = torch.maximum(largest, values)
    return labels
