"""Images as users give them: what the model sees of them, and what is shown of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from protoxai.images import unit_range
from protoxai.model.preprocessing import ImageInput, prepare
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.checks import shown
from protoxai.runtime.finite import check_images
from protoxai.runtime.tensors import tensor


class ShownImage(NamedTuple):
    """An image as the model sees it, and as it is shown.

    Attributes:
        pixels: Normalised image at the model's size, (1, 3, h, w).
        shown: RGB image at its own size, (3, H, W), in [0, 1], on the CPU.
    """

    pixels: Tensor
    shown: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width (H, W) of the image as it was given."""
        return self.shown.shape[1], self.shown.shape[2]


def shown_image(model: ScaleProtoSeg, image: ImageInput, position: int | None = None) -> ShownImage:
    """Return what a model sees of an image, and what is shown of it.

    Args:
        model: The model.
        image: One image, as ``model.preprocess`` takes it.
        position: Position of the image among several, for errors.

    Raises:
        TypeError: If the image is of another type.
        ValueError: If it has another shape, or a file cannot be read.
        NotFiniteError: If a value is NaN or infinite.
    """
    pixels, original, _ = prepare(model, image)
    sizes, hint = {"batch": 1, "channels": len(model.mean)}, "give several images as a list"
    tensor("image", pixels, "batch channels height width", sizes=sizes, hint=hint)
    check_images(pixels, None if position is None else [position])
    if original is not None:
        return ShownImage(pixels, unit_range(original[0]).cpu())
    mean, std = (
        torch.tensor(values, device=pixels.device)[:, None, None]
        for values in (model.mean, model.std)
    )
    shown = (pixels[0].detach().float() * std + mean).clamp(0, 1)
    return ShownImage(pixels, shown.cpu())


def check_data_set(data: Any) -> None:
    """Raise an error unless images can be taken from a data set by their numbers.

    Raises:
        TypeError: If it has no ``len`` and ``[]``, or is a mapping, text or a tensor.
        ValueError: If it is empty.
    """
    is_data_set = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    if not is_data_set or isinstance(data, Mapping | str | Tensor):
        raise TypeError(
            f"data is {shown(data)} ({type(data).__name__}), expected a data set with len and [], "
            'whose items are mappings with "image"'
        )
    if len(data) == 0:
        raise ValueError("data is empty, expected a data set with at least one image")
