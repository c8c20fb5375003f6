"""The one number of a segmentation model that an attribution explains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from protoxai.runtime.resize import resize

REDUCTIONS = ("mean", "sum")
OUTPUTS = ("logits", "softmax")
LOGITS_KEYS = ("out", "logits")


class SegmentationTarget(nn.Module):
    """One number per image out of a segmentation model: a class's score over a region.

    The model may return a tensor, an object with ``logits``, a mapping with "out" or "logits", or
    a list or tuple whose first entry is one of these. Its logits are resized bilinearly (corners
    not aligned) to the image. Region and class are arguments, so that Captum repeats them with the
    images (``additional_forward_args=(region, class_index)``) and needs no ``target``.

    Args:
        model: the segmentation model; its mode is left alone.
        reduction: "mean" or "sum" over the region's pixels.
        output: explain the class's "logits" or its "softmax" (in [0, 1], needs all classes at the
            size of the image).

    Raises:
        ValueError: if ``reduction`` or ``output`` is unknown.

    Example:
        >>> import torch
        >>> target = SegmentationTarget(torch.nn.Conv2d(3, 5, 1))
        >>> region = torch.ones(2, 8, 8, dtype=torch.bool)
        >>> target(torch.rand(2, 3, 8, 8), region, torch.tensor([4, 1])).shape
        torch.Size([2])
    """

    def __init__(self, model: nn.Module, reduction: str = "mean", output: str = "logits") -> None:
        super().__init__()
        for name, value, known in (
            ("reduction", reduction, REDUCTIONS),
            ("output", output, OUTPUTS),
        ):
            if value not in known:
                raise ValueError(f"{name} is {value!r}, expected one of {known}")
        self.model = model
        self.reduction = reduction
        self.output = output

    def forward(self, images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
        """Return the number (B,) of each image.

        Args:
            images: (B, 3, H, W), as the model takes them.
            region: bool (B, H, W), the pixels to explain.
            class_index: int64 (B,), the class of each image.

        Returns:
            (B,); NaN where the region is empty.

        Raises:
            ValueError: if the shapes do not fit, or a class is not one of the model's.
            TypeError: if a type does not, or the model returns nothing to find logits in.
        """
        check_question(images, region, class_index)
        logits = logits_of(self.model(images))
        if class_index.device.type == "cpu":
            check_classes(class_index, logits.shape[1])
        scores = self._scores(logits, class_index, images.shape[2:])
        pixels = region.sum((1, 2))
        total = scores.masked_fill(~region, 0).sum((1, 2))
        if self.reduction == "mean":
            return total / pixels
        return total.masked_fill(pixels == 0, torch.nan)

    def extra_repr(self) -> str:
        """Describe the target's arguments."""
        return f"reduction={self.reduction!r}, output={self.output!r}"

    def _scores(self, logits: Tensor, class_index: Tensor, size: torch.Size) -> Tensor:
        images = torch.arange(len(logits), device=logits.device)
        index = class_index.to(logits.device)
        if self.output == "softmax":
            return resize(logits, size).softmax(1)[images, index]
        return resize(logits[images, index][:, None], size)[:, 0]


def logits_of(output: Any) -> Tensor:
    """Return the logits (B, C, h, w) in what a segmentation model returned.

    Raises:
        TypeError: if there are none.
    """
    found = output
    if hasattr(found, "logits"):
        found = found.logits
    elif isinstance(found, Mapping):
        key = next((key for key in LOGITS_KEYS if key in found), None)
        if key is None:
            raise TypeError(
                f"the model returned a mapping with {list(found)}, expected one with "
                f"{' or '.join(map(repr, LOGITS_KEYS))}: wrap the model to return its logits"
            )
        found = found[key]
    elif isinstance(found, list | tuple) and found:
        return logits_of(found[0])
    if not isinstance(found, Tensor) or found.dim() != 4:
        came = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise TypeError(
            f"the model returned {came}, expected logits (B, C, h, w): wrap the model to return "
            "them"
        )
    return found


def check_question(images: Tensor, region: Tensor, class_index: Tensor) -> None:
    """Raise unless images (B, ., H, W), region (B, H, W) and class (B,) belong together."""
    if images.dim() != 4 or not images.is_floating_point():
        raise ValueError(
            f"images are {images.dtype} of shape {tuple(images.shape)}, expected floating point "
            "(B, 3, H, W): add the batch axis with images[None]"
        )
    if not images.numel():
        raise ValueError(f"images have shape {tuple(images.shape)}, expected at least one pixel")
    if region.dtype != torch.bool:
        raise TypeError(f"region has dtype {region.dtype}, expected bool: compare, as in map == 3")
    expected = (len(images), *images.shape[2:])
    if tuple(region.shape) != expected:
        raise ValueError(
            f"region has shape {tuple(region.shape)}, expected {expected}: one map per image, at "
            "the image's size"
        )
    if class_index.is_floating_point() or class_index.dtype == torch.bool:
        raise TypeError(f"class_index has dtype {class_index.dtype}, expected int64")
    if tuple(class_index.shape) != expected[:1]:
        raise ValueError(
            f"class_index has shape {tuple(class_index.shape)}, expected {expected[:1]}: one class "
            "per image"
        )


def check_classes(class_index: Tensor, num_classes: int) -> None:
    """Raise unless all classes are in ``0 … num_classes - 1``."""
    outside = class_index[(class_index < 0) | (class_index >= num_classes)]
    if len(outside):
        raise ValueError(f"class_index holds {int(outside[0])}, expected 0 to {num_classes - 1}")
