"""Logits of large images by a sliding window."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from protoxai.evaluation.models import check_model
from protoxai.model.evaluation_settings import EvaluationSettings
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.checks import pair
from protoxai.runtime.resize import resize
from protoxai.runtime.tensors import tensor


@torch.no_grad()
def sliding_logits(
    model: Segmenter, images: Tensor, window: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """Return the logits of large images, averaged over overlapping windows.

    Args:
        model: Model in evaluation mode.
        images: Normalised images (B, 3, H, W).
        window: Height and width of the window; a larger window than the image covers all of it.
        stride: Rows and columns between windows; the last windows end at the image's border.

    Returns:
        Logits (B, C, H, W).

    Raises:
        ValueError: If the stride would leave pixels out.
        NotFiniteError: If a value of an image or a logit is NaN or infinite, on the CPU.

    Example:
        >>> import torch
        >>> from protoxai import LinearSegmenter
        >>> model = LinearSegmenter(torch.nn.Conv2d(3, 8, 3, stride=8), num_classes=2).eval()
        >>> sliding_logits(model, torch.rand(1, 3, 48, 80), (32, 32), (16, 16)).shape
        torch.Size([1, 2, 48, 80])
    """
    model = check_model(model)
    tensor("images", images, "batch channels height width")
    window, stride = pair("window", window), pair("stride", stride)
    if not all(0 < step <= side for step, side in zip(stride, window, strict=True)):
        raise ValueError(
            f"the stride is {stride} and the window {window}, expected strides from 1 to the "
            "window's size: larger strides leave pixels out"
        )
    height, width = images.shape[2:]
    total = images.new_zeros(len(images), model.num_classes, height, width)
    windows = images.new_zeros(height, width)
    for top in _starts(height, window[0], stride[0]):
        for left in _starts(width, window[1], stride[1]):
            rows, cols = slice(top, top + window[0]), slice(left, left + window[1])
            crop = images[..., rows, cols]
            total[..., rows, cols] += resize(model.logits(crop), crop.shape[2:])
            windows[rows, cols] += 1
    return total / windows


def window_logits(
    model: Segmenter, settings: EvaluationSettings | None
) -> Callable[[Tensor], Tensor] | None:
    """Return the function from images to logits by the sliding window of some settings.

    Args:
        model: The model.
        settings: Settings of an evaluation; None if they are unknown.

    Returns:
        The function, for :func:`~protoxai.evaluation.evaluate`; None if there is no window.
    """
    if settings is None or settings.window is None or settings.stride is None:
        return None
    return partial(sliding_logits, model, window=settings.window, stride=settings.stride)


def _starts(size: int, window: int, stride: int) -> list[int]:
    """Return the first row or column of each window; the last window ends at the border."""
    last = max(size - window, 0)
    return sorted({*range(0, last, stride), last})
