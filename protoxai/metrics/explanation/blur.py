"""Gaussian blur, which replaces removed pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 4.0
"""Number of standard deviations after which the filter is cut off."""


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur images (B, C, H, W); beyond the border the nearest pixel is repeated.

    Args:
        images: Floating-point images.
        sigma: Standard deviation of the Gaussian in pixels, above 0.

    Example:
        >>> import torch
        >>> gaussian_blur(torch.ones(1, 3, 4, 4), sigma=2.0).unique()
        tensor([1.])
    """
    radius = int(REACH * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64, device=images.device)
    kernel = torch.softmax(-0.5 * (offsets / sigma).square(), 0).to(images.dtype)
    maps = images.flatten(0, 1)[:, None]
    maps = F.pad(maps, (radius, radius, radius, radius), mode="replicate")
    maps = F.conv2d(F.conv2d(maps, kernel[:, None][None, None]), kernel[None, None, None])
    return maps.view_as(images)
