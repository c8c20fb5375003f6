"""Images: read from files, and normalised as a backbone requires."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")


def read_image(path: Path, page: int = 0) -> Tensor:
    """Read an image file as RGB.

    Args:
        path: Path of an 8-bit file in any format that Pillow reads.
        page: Index of the image, in files that hold several.

    Returns:
        Image (3, H, W), uint8.

    Raises:
        ValueError: If the file cannot be read or has more than 8 bits per channel.
    """
    image = open_image(path, page)
    if image.mode.startswith(("I", "F")):
        raise ValueError(
            f"{path}: image mode {image.mode} has more than 8 bits per channel: "
            "scale it to 8 bits first, so that the choice of range is yours"
        )
    array = np.array(image.convert("RGB"))
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def open_image(path: Path, page: int = 0) -> Image.Image:
    """Decode an image file, as it is stored.

    Args:
        path: Path of a file in any format that Pillow reads.
        page: Index of the image, in files that hold several.

    Raises:
        ValueError: If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            image = Image.open(file)
            image.seek(page)
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, EOFError) as error:
        raise _unreadable(path, error) from error
    return image


def count_pages(path: Path) -> int:
    """Return the number of images in a file.

    Args:
        path: Path of a file in any format that Pillow reads.

    Raises:
        ValueError: If the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            return int(getattr(image, "n_frames", 1))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise _unreadable(path, error) from error


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
    """
    if image.is_floating_point():
        return image.to(torch.float32)
    return image.to(torch.float32).mul_(1 / 255)


def check_normalisation(mean: Sequence[float], std: Sequence[float], channels: int = 3) -> None:
    """Raise an error unless every channel has a mean and a positive standard deviation.

    Args:
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        channels: Number of channels.

    Raises:
        ValueError: If the numbers of values differ, or a standard deviation is not above 0.
    """
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise ValueError(
            f"mean={tuple(mean)}, std={tuple(std)}: give {channels} values each, one per channel, "
            "and std above 0"
        )


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} cannot be read as an image ({error}): replace or remove the file")
