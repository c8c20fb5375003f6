"""Fills of removed pixels: imputation from the pixels that remain, and a blurred image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from protoxai.metrics.explanation.blur import gaussian_blur
from protoxai.metrics.explanation.noisy_linear import impute_noisy_linear
from protoxai.runtime.precision import widen

BLUR_SHARE = 1 / 16
"""Standard deviation of the blur as a share of the image's height."""
Fill = Callable[[Tensor], Tensor]
"""Function of removed pixels, bool (n, H, W), that returns images (n, C, H, W) without them."""


def impute(images: Tensor, known: Tensor) -> Tensor:
    """Replace unknown pixels by averages of the known ones around them (pull–push).

    Gortler et al., "The lumigraph", SIGGRAPH 1996, section 3.4; the purpose is that of Rong et al.,
    "A consistent and efficient evaluation strategy for attribution methods" (ROAD), ICML 2022: a
    removed pixel has to look as if it had not been removed. Known pixels are averaged in squares of
    2x2, 4x4, … pixels until one covers the image (pull). From there down, each square without a
    known pixel takes its value from the next larger ones by bilinear interpolation (push).

    Args:
        images: Floating-point images (B, C, H, W).
        known: Pixels that keep their values, bool (B, H, W).

    Returns:
        Images (B, C, H, W). An image without a known pixel has its own mean colour everywhere.

    Example:
        >>> import torch
        >>> image = torch.tensor([[[[1.0, 9.0], [3.0, 9.0]]]])
        >>> impute(image, image[0] < 9)
        tensor([[[[1., 2.],
                  [3., 2.]]]])
    """
    (wide,) = widen(images)
    count = known[:, None].to(wide.dtype)
    total, levels = wide * count, []
    while True:
        levels.append((total / count, count > 0))
        if total.shape[2:] == (1, 1):
            break
        total, count = _halved(total), _halved(count)
    filled = torch.where(count > 0, total / count, wide.mean((2, 3), keepdim=True))
    for mean, covered in reversed(levels[:-1]):
        # Squares have twice the size of those below, also where the last one is cut off.
        finer = F.interpolate(filled, scale_factor=2, mode="bilinear")
        filled = mean.where(covered, finer[..., : mean.shape[2], : mean.shape[3]])
    return filled.to(images.dtype)


def _halved(maps: Tensor) -> Tensor:
    """Return the means of squares of 2x2 pixels; beyond the border there are zeros."""
    height, width = maps.shape[2:]
    return F.avg_pool2d(F.pad(maps, (0, width % 2, 0, height % 2)), 2)


def _imputed(image: Tensor) -> Fill:
    return lambda removed: impute(image.expand(len(removed), -1, -1, -1), ~removed)


def _blurred(image: Tensor) -> Fill:
    blurred = gaussian_blur(image[None], image.shape[1] * BLUR_SHARE)
    return lambda removed: torch.where(removed[:, None], blurred, image)


def _noisy_linear(image: Tensor) -> Fill:
    return partial(impute_noisy_linear, image)


FILLS: Mapping[str, Callable[[Tensor], Fill]] = {
    "impute": _imputed,
    "blur": _blurred,
    "road": _noisy_linear,
}
"""For each name of a fill, a function of an image (C, H, W) that returns its :data:`Fill`."""
