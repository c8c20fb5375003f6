"""Images as users give them: what the model sees of them, and what is shown of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from protoxai.attribution.target import IMAGE_HINT
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.tensors import tensor


class GivenImage(NamedTuple):
    """An image as it was given, and as the model sees it.

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


def given_image(model: ScaleProtoSeg, image: Any) -> GivenImage:
    """Return what a model sees of an image, and what is shown of it.

    Args:
        model: The model.
        image: Normalised image, (3, H, W) or (1, 3, H, W).

    Raises:
        TypeError: If the image is of another type.
        ValueError: If it has another shape.
    """
    tensor("image", image, "... channels height width", hint=IMAGE_HINT, sizes={"channels": 3})
    if image.dim() == 3:
        image = image[None]
    if image.dim() != 4 or image.shape[:2] != (1, 3):
        raise ValueError(f"image has shape {tuple(image.shape)}, expected one image (3, H, W)")
    mean, std = (
        torch.tensor(v, device=image.device)[:, None, None] for v in (model.mean, model.std)
    )
    shown = (image[0].detach().float() * std + mean).clamp(0, 1)
    return GivenImage(image, shown.cpu())
