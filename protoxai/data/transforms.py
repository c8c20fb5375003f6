"""Training and evaluation transforms, from ``torchvision.transforms.v2``.

Every step takes and returns ``(image, masks)``, the image a ``tv_tensors.Image``, the masks a dict
of ``tv_tensors.Mask``, so the steps mix with torchvision's own. Chance comes from torch's global
generator.
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
from protoxai.labels import labels_at


@dataclass(frozen=True)
class RandomZoom:
    """Resize by a random factor: the image bilinear, antialiased; masks by nearest pixel centre.

    Args:
        size: the crop (height, width) that follows.
        scale: smallest and largest factor.
        relative_to: what factor 1 means, see ``training_transform``.
        log_uniform: draw the factor's logarithm uniformly instead of the factor.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    relative_to: Literal["image", "crop"]
    log_uniform: bool

    def __call__(self, image: Tensor, masks: Masks) -> tuple[Tensor, Masks]:
        """Resize the image and the masks by the same factor."""
        height, width = image.shape[-2:]
        factor = self._draw()
        if self.relative_to == "crop":
            factor *= min(self.size[0] / height, self.size[1] / width)
        target = max(1, round(height * factor)), max(1, round(width * factor))
        resized = F.resize(image, list(target), antialias=True)
        return resized, {name: _nearest(mask, target) for name, mask in masks.items()}

    def _draw(self) -> float:
        low, high = self.scale
        chance = float(torch.rand(()))
        if self.log_uniform:
            return low * math.exp(chance * math.log(high / low))
        return low + chance * (high - low)


@dataclass(frozen=True)
class RandomWindow:
    """Cut a random window of at most ``size`` (height, width); smaller images stay whole."""

    size: tuple[int, int]

    def __call__(self, image: Tensor, masks: Masks) -> tuple[Tensor, Masks]:
        """Cut the same window from the image and the masks."""
        height, width = (
            min(own, most) for own, most in zip(image.shape[-2:], self.size, strict=True)
        )
        top = int(torch.randint(image.shape[-2] - height + 1, ()))
        left = int(torch.randint(image.shape[-1] - width + 1, ()))
        cut = {name: F.crop(mask, top, left, height, width) for name, mask in masks.items()}
        return F.crop(image, top, left, height, width), cut


@dataclass(frozen=True)
class PadTo:
    """Pad below and on the right to ``size`` (height, width): image 0, labels ignored, no part."""

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
    """Resize the image alone (bilinear, antialiasing), the masks keep their size.

    Args:
        size: [height, width], or [shorter side] with the aspect ratio kept.
    """

    size: list[int]

    def __call__(self, image: Tensor, masks: Masks) -> tuple[Tensor, Masks]:
        """Resize the image."""
        return F.resize(image, self.size, antialias=True), masks


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
) -> Transform:
    """Random zoom, crop with padding, horizontal flip and colour jitter.

    Where the zoomed image is smaller than the crop it is padded: labels with ``ignore_index``, the
    image with the mean colour, which is 0 after normalisation.

    Args:
        size: the crop, (height, width) in pixels.
        mean: of the backbone's training images, 3 values in [0, 1].
        std: likewise, > 0.
        scale: smallest and largest zoom factor, > 0.
        flip: probability of a horizontal flip.
        color_jitter: brightness and contrast are multiplied by factors up to 1 ± this, in [0, 1].
        ignore_index: the label of padding; the data set's.
        relative_to: what factor 1 means. ``"image"``: the image's own size (the paper's recipes).
            ``"crop"``: the size at which the whole image just fits into the crop, so that large
            images are resampled once.
        log_uniform: draw the factor's logarithm uniformly: halving is as likely as doubling.

    Returns:
        A transform for a ``SegmentationDataset``: image float32 (3, height, width), masks (height,
        width).

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> from protoxai.data import Shapes
        >>> transform = training_transform((96, 128), mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> sample = Shapes(size=160, transform=transform)[0]
        >>> sample["image"].shape, sample["labels"].shape
        (torch.Size([3, 96, 128]), torch.Size([96, 128]))
    """
    size = _height_and_width(size)
    if not 0 < scale[0] <= scale[1]:
        raise ValueError(f"scale={scale}: give (smallest, largest), both above 0, e.g. (0.5, 1.5)")
    for name, share in (("flip", flip), ("color_jitter", color_jitter)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name}={share} must lie between 0 and 1")
    if relative_to not in ("image", "crop"):
        raise ValueError(f"relative_to={relative_to!r} must be 'image' or 'crop'")
    steps = [RandomZoom(size, scale, relative_to, log_uniform), RandomWindow(size)]
    if color_jitter:
        steps.append(v2.ColorJitter(brightness=color_jitter, contrast=color_jitter))
    # Padding after the normalisation: 0 is then exactly the mean, whatever the jitter did.
    steps += [*_normalised(mean, std), PadTo(size, ignore_index), v2.RandomHorizontalFlip(flip)]
    return cast(Transform, v2.Compose(steps))


def evaluation_transform(
    size: tuple[int, int] | int | None, *, mean: Sequence[float], std: Sequence[float]
) -> Transform:
    """Resize and normalise the image; the labels keep their full size.

    Args:
        size: (height, width) without regard to the aspect ratio, or the shorter side in pixels, or
            None for the image's own size.
        mean: of the backbone's training images, 3 values in [0, 1].
        std: likewise, > 0.

    Returns:
        A transform for a ``SegmentationDataset``: image float32 (3, height, width), masks as they
        are.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> from protoxai.data import Shapes
        >>> transform = evaluation_transform(80, mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> sample = Shapes(size=(160, 200), transform=transform)[0]
        >>> sample["image"].shape, sample["labels"].shape
        (torch.Size([3, 80, 100]), torch.Size([160, 200]))
    """
    if size is None:
        steps = []
    elif isinstance(size, int):
        steps = [ResizeImage([_height_and_width((size, size))[0]])]
    else:
        steps = [ResizeImage(list(_height_and_width(size)))]
    return cast(Transform, v2.Compose([*steps, *_normalised(mean, std)]))


def _nearest(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest pixel centre; torchvision's own mask resizing takes corners, half a pixel off."""
    picked = labels_at(mask.as_subclass(Tensor), size)
    return cast(Tensor, tv_tensors.wrap(picked, like=mask))


def _normalised(mean: Sequence[float], std: Sequence[float]) -> list[Transform]:
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(
            f"mean={tuple(mean)}, std={tuple(std)}: give three values each, one a colour channel, "
            "std above 0"
        )
    return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))]


def _height_and_width(size: object) -> tuple[int, int]:
    if not (isinstance(size, Sequence) and len(size) == 2 and min(size) >= 1):
        raise ValueError(f"size={size!r}: give (height, width) in pixels, both 1 or more")
    return size[0], size[1]
