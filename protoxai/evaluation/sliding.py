"""Logits of large images by a sliding window."""

from __future__ import annotations

from torch import Tensor

from protoxai.model.segmenter import Segmenter
from protoxai.runtime.resize import resize


def sliding_logits(
    model: Segmenter, images: Tensor, window: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """Return logits (B, C, H, W) of large images, averaged over overlapping windows.

    Args:
        model: in evaluation mode.
        images: (B, 3, H, W).
        window: height and width; larger than the image: the whole image is one window.
        stride: rows and columns from a window to the next; the last ones end at the border.

    Raises:
        ValueError: if the stride would leave pixels out.
    """
    if not all(0 < step <= side for step, side in zip(stride, window, strict=True)):
        raise ValueError(
            f"the stride is {stride} and the window {window}, expected strides from 1 to the "
            "window's size: larger ones would leave pixels out"
        )
    height, width = images.shape[2:]
    total = images.new_zeros(len(images), model.num_classes, height, width)
    count = images.new_zeros(height, width)
    for top in _starts(height, window[0], stride[0]):
        for left in _starts(width, window[1], stride[1]):
            rows, cols = slice(top, top + window[0]), slice(left, left + window[1])
            part = images[..., rows, cols]
            total[..., rows, cols] += resize(model.logits(part), part.shape[2:])
            count[rows, cols] += 1
    return total / count


def _starts(size: int, window: int, stride: int) -> list[int]:
    """Return where windows start; the last one ends at the border."""
    last = max(size - window, 0)
    return sorted({*range(0, last, stride), last})
