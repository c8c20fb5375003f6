"""Training and evaluation transforms, from ``torchvision.transforms.v2``.

Every step takes and returns ``(image, masks)``: the image is a ``tv_tensors.Image``, the masks are
a dict of ``tv_tensors.Mask``, so that the steps can be combined with torchvision's own. All random
numbers are those of torch's global generator.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from protoxai.data.base import Masks, Transform
from protoxai.images import check_normalisation, normalise
from protoxai.labels import labels_at
from protoxai.runtime.checks import SHARE, Range, choice, flag, number, numbers_of, pair, whole

PIXELS, FACTOR = Range(least=1, most=100_000), Range(above=0, most=100)


@dataclass(frozen=True)
class RandomScale:
    """Resize by a random factor: the image bilinearly, masks by nearest pixels.

    Sizes are truncated to whole pixels.

    Args:
        size: Height and width of the crop that follows.
        scale: Smallest and largest factor.
        relative_to: Size that factor 1 stands for, see :func:`training_transform`.
        log_uniform: Whether the logarithm of the factor is distributed uniformly.
        antialias: Whether the image is smoothed before it is made smaller.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    relative_to: Literal["image", "crop"]
    log_uniform: bool
    antialias: bool

    def __call__(self, image: Tensor, masks: Masks) -> tuple[Tensor, Masks]:
        """Resize the image and the masks by the same factor."""
        height, width = image.shape[-2:]
        factor = self._random_factor()
        if self.relative_to == "crop":
            factor *= min(self.size[0] / height, self.size[1] / width)
        target = _truncated(height * factor), _truncated(width * factor)
        resized = F.resize(image, list(target), antialias=self.antialias)
        return resized, {name: _nearest(mask, target) for name, mask in masks.items()}

    def _random_factor(self) -> float:
        low, high = self.scale
        position = float(torch.rand(()))
        if self.log_uniform:
            return low * math.exp(position * math.log(high / low))
        return low + position * (high - low)


@dataclass(frozen=True)
class RandomCrop:
    """Crop a random window of at most a given size; smaller images are not cropped.

    Args:
        size: Height and width of the window.
    """

    size: tuple[int, int]

    def __call__(self, image: Tensor, masks: Masks) -> tuple[Tensor, Masks]:
        """Crop the same window of the image and the masks."""
        height, width = (
            min(own, most) for own, most in zip(image.shape[-2:], self.size, strict=True)
        )
        top = int(torch.randint(image.shape[-2] - height + 1, ()))
        left = int(torch.randint(image.shape[-1] - width + 1, ()))
        cropped = {name: F.crop(mask, top, left, height, width) for name, mask in masks.items()}
        return F.crop(image, top, left, height, width), cropped


@dataclass(frozen=True)
class PadTo:
    """Pad at the bottom and on the right: the image with 0, the labels with the ignore index.

    Args:
        size: Height and width after padding.
        ignore_index: Label of the padding.
    """

    size: tuple[int, int]
    ignore_index: int

    def __call__(self, image: Tensor, masks: Masks) -> tuple[Tensor, Masks]:
        """Pad the image and the masks, each with its own value."""
        margin = [0, 0, self.size[1] - image.shape[-1], self.size[0] - image.shape[-2]]
        fills = {name: self.ignore_index if name == "labels" else 0 for name in masks}
        padded = {name: F.pad(mask, margin, fill=fills[name]) for name, mask in masks.items()}
        return F.pad(image, margin, fill=0), padded


@dataclass(frozen=True)
class ResizeImage:
    """Resize the image bilinearly; the masks keep their size.

    Args:
        size: List of height and width, or of the shorter side, which keeps the aspect ratio.
        antialias: Whether the image is smoothed before it is made smaller.
    """

    size: list[int]
    antialias: bool

    def __call__(self, image: Tensor, masks: Masks) -> tuple[Tensor, Masks]:
        """Resize the image."""
        return F.resize(image, self.size, antialias=self.antialias), masks


@dataclass(frozen=True)
class Normalise:
    """Scale the image to [0, 1] and normalise it.

    Args:
        mean: Mean of the RGB values, in [0, 1].
        std: Standard deviation of the RGB values, above 0.
    """

    mean: Sequence[float]
    std: Sequence[float]

    def __post_init__(self) -> None:
        check_normalisation(self.mean, self.std)

    def __call__(self, image: Tensor, masks: Masks) -> tuple[Tensor, Masks]:
        """Normalise the image."""
        normalised = normalise(image.as_subclass(Tensor), self.mean, self.std)
        return cast(Tensor, tv_tensors.Image(normalised)), masks


def training_transform(
    size: tuple[int, int],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    scale: tuple[float, float] = (0.5, 1.5),
    flip: float = 0.5,
    color_jitter: float = 0.0,
    ignore_index: int = 255,
    relative_to: Literal["image", "crop"] = "image",
    log_uniform: bool = False,
    antialias: bool = True,
) -> Transform:
    """Return a transform that scales, crops, pads, flips and jitters at random, and normalises.

    If the scaled image is smaller than the crop, it is padded: the labels with ``ignore_index``,
    the image with the mean colour, which is 0 after normalisation.

    Args:
        size: Height and width of the crop, in pixels.
        mean: Mean of the RGB values of the backbone's training images, in [0, 1].
        std: Standard deviation of the RGB values of the backbone's training images, above 0.
        scale: Smallest and largest factor by which the image is resized, above 0.
        flip: Probability of a horizontal flip.
        color_jitter: Largest relative change of brightness and contrast, in [0, 1].
        ignore_index: Label of the padding, the ignore index of the data set.
        relative_to: Size that factor 1 stands for. ``"image"`` is the image's own size (the paper's
            recipes). ``"crop"`` is the size at which the image just fits into the crop, so that
            large images are resampled only once.
        log_uniform: Whether the logarithm of the factor is distributed uniformly, so that halving
            is as probable as doubling.
        antialias: Whether images are smoothed before they are made smaller. The paper's recipes
            sample every result between its four nearest pixels, without smoothing.

    Returns:
        A transform for a :class:`SegmentationDataset`: image (3, height, width), float32, and masks
        (height, width).

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If an argument is out of its range.

    Example:
        >>> from protoxai.data import Shapes
        >>> transform = training_transform((96, 128), mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> sample = Shapes(size=160, transform=transform)[0]
        >>> sample["image"].shape, sample["labels"].shape
        (torch.Size([3, 96, 128]), torch.Size([96, 128]))
    """
    size = pair("size", size, PIXELS)
    smallest, largest = numbers_of("scale", scale, 2, FACTOR)
    if smallest > largest:
        raise ValueError(f"scale is {scale}, expected (smallest, largest), such as (0.5, 1.5)")
    flip, color_jitter = number("flip", flip, SHARE), number("color_jitter", color_jitter, SHARE)
    ignore_index, antialias = whole("ignore_index", ignore_index), flag("antialias", antialias)
    log_uniform = flag("log_uniform", log_uniform)
    choice("relative_to", relative_to, ("image", "crop"))
    scaling = RandomScale(size, (smallest, largest), relative_to, log_uniform, antialias)
    steps: list[Transform] = [scaling, RandomCrop(size)]
    if color_jitter:
        steps.append(v2.ColorJitter(brightness=color_jitter, contrast=color_jitter))
    # After the normalisation, padding with 0 is exactly the mean, whatever the jitter changed.
    steps += [Normalise(mean, std), PadTo(size, ignore_index), v2.RandomHorizontalFlip(flip)]
    return cast(Transform, v2.Compose(steps))


def evaluation_transform(
    size: tuple[int, int] | int | None,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    antialias: bool = True,
) -> Transform:
    """Return a transform that resizes and normalises the image; the labels keep their size.

    Args:
        size: Height and width in pixels, whatever the aspect ratio; or the shorter side, which
            keeps the aspect ratio; or None for the image's own size.
        mean: Mean of the RGB values of the backbone's training images, in [0, 1].
        std: Standard deviation of the RGB values of the backbone's training images, above 0.
        antialias: Whether images are smoothed before they are made smaller. Without it, floating
            point numbers are resized, after the normalisation, as in the paper's recipes.

    Returns:
        A transform for a :class:`SegmentationDataset`: image (3, height, width), float32, and masks
        of their own size.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If an argument is out of its range.

    Example:
        >>> from protoxai.data import Shapes
        >>> transform = evaluation_transform(80, mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> sample = Shapes(size=(160, 200), transform=transform)[0]
        >>> sample["image"].shape, sample["labels"].shape
        (torch.Size([3, 80, 100]), torch.Size([160, 200]))
    """
    steps: list[Transform] = [Normalise(mean, std)]
    # Before the normalisation, the resized image is rounded to 8 bits.
    position = 0 if flag("antialias", antialias) else 1
    if isinstance(size, Sequence):
        steps.insert(position, ResizeImage(list(pair("size", size, PIXELS)), antialias))
    elif size is not None:
        steps.insert(position, ResizeImage([whole("size", size, PIXELS)], antialias))
    return cast(Transform, v2.Compose(steps))


def _truncated(length: float) -> int:
    """Return the whole number of pixels in a length, but at least one."""
    # The rounding of 49 * (1 / 49), which is below 1, must not cost a pixel.
    return max(1, math.floor(length + 1e-6))


def _nearest(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a mask to the nearest pixel centres; torchvision's resizing is half a pixel off."""
    resized = labels_at(mask.as_subclass(Tensor), size)
    return cast(Tensor, tv_tensors.wrap(resized, like=mask))
