"""Normalising of images, as a backbone requires."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from protoxai.runtime.checks import POSITIVE, instance, numbers_of


def normalise(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Scale an image to [0, 1], subtract the mean and divide by the standard deviation.

    Args:
        image: Image (..., C, H, W), uint8, or floating point that is in [0, 1] already.
        mean: Mean of each channel, in [0, 1].
        std: Standard deviation of each channel, above 0.

    Returns:
        Image of the same shape, float32.

    Raises:
        ValueError: If there is not one mean and one standard deviation above 0 per channel.

    Example:
        >>> normalise(torch.full((1, 1, 2), 255, dtype=torch.uint8), mean=[0.5], std=[0.25])
        tensor([[[2., 2.]]])
    """
    check_normalisation(mean, std, channels=image.shape[-3])
    shift = torch.tensor(mean, device=image.device)[:, None, None]
    scale = torch.tensor(std, device=image.device)[:, None, None]
    return unit_range(image).sub(shift).div_(scale)


def unit_range(image: Tensor) -> Tensor:
    """Return an image in float32, scaled from 0-255 to [0, 1] if it is uint8.

    Args:
        image: Image of any shape, uint8, or floating point that is in [0, 1] already.

    Raises:
        TypeError: If the image is of another type, whose range is unknown.
    """
    if instance("image", image, Tensor).is_floating_point():
        return image.to(torch.float32)
    if image.dtype != torch.uint8:
        raise TypeError(
            f"got an image of {image.dtype}, expected uint8 (0 to 255) or floating point (0 to 1): "
            "scale it to one of them first, so that the choice of range is yours"
        )
    return image.to(torch.float32).mul_(1 / 255)


def check_normalisation(mean: Sequence[float], std: Sequence[float], channels: int = 3) -> None:
    """Raise an error unless every channel has a mean and a positive standard deviation.

    Args:
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        channels: Number of channels.

    Raises:
        TypeError: If one of them is no list of numbers.
        ValueError: If the numbers of values differ, or a standard deviation is not above 0.
    """
    numbers_of("mean", mean, channels)
    numbers_of("std", std, channels, POSITIVE)
