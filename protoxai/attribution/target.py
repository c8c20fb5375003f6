"""The number, one per image, that an attribution of a segmentation model explains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from protoxai.runtime.checks import choice, instance
from protoxai.runtime.representation import call_repr
from protoxai.runtime.resize import resize
from protoxai.runtime.tensors import tensor
from protoxai.runtime.wrappers import unwrapped

REDUCTIONS = ("mean", "sum")
OUTPUTS = ("logits", "softmax")
LOGITS_KEYS = ("out", "logits")
IMAGE_HINT = (
    "turn a PIL image or an array into one with protoxai.images.normalise("
    "torch.from_numpy(numpy.array(picture)).permute(2, 0, 1), model.mean, model.std), and add the "
    "batch axis with image[None]"
)


class SegmentationTarget(nn.Module):
    """A class's score over a region as the model's only output, one number per image.

    The model may return a tensor, an object with ``logits``, a mapping with "out" or "logits", or
    a list or tuple whose first entry is one of these. Its logits are resized bilinearly (corners
    not aligned) to the image. Region and class are arguments, so that Captum repeats them with the
    images (``additional_forward_args=(region, class_index)``) and requires no ``target``.

    Args:
        model: Segmentation model; its mode is not changed.
        reduction: "mean" or "sum" over the region's pixels.
        output: "logits" or "softmax" (in [0, 1]; requires all classes at the size of the image).

    Raises:
        ValueError: If ``reduction`` or ``output`` is unknown.

    Example:
        >>> import torch
        >>> target = SegmentationTarget(torch.nn.Conv2d(3, 5, 1))
        >>> region = torch.ones(2, 8, 8, dtype=torch.bool)
        >>> target(torch.rand(2, 3, 8, 8), region, torch.tensor([4, 1])).shape
        torch.Size([2])
    """

    def __init__(self, model: nn.Module, reduction: str = "mean", output: str = "logits") -> None:
        super().__init__()
        self.model = instance("model", unwrapped(model), nn.Module)
        self.reduction = choice("reduction", reduction, REDUCTIONS)
        self.output = choice("output", output, OUTPUTS)

    def forward(self, images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
        """Return the score of each image.

        Args:
            images: Images (B, 3, H, W), normalised as the model requires.
            region: Pixels to explain, bool (B, H, W).
            class_index: Class of each image, int64 (B,).

        Returns:
            The scores (B,); NaN for an empty region.

        Raises:
            ValueError: If the shapes do not fit, or a class is not one of the model's.
            TypeError: If a type does not fit, or the model's output has no logits.
        """
        check_tasks(images, region, class_index)
        logits = logits_of(self.model(images))
        if class_index.device.type == "cpu":
            check_classes(class_index, logits.shape[1])
        scores = self._scores(logits, class_index, images.shape[2:])
        pixels = region.sum((1, 2))
        total = scores.masked_fill(~region, 0).sum((1, 2))
        if self.reduction == "mean":
            return total / pixels
        return total.masked_fill(pixels == 0, torch.nan)

    def __repr__(self) -> str:
        return call_repr(self, model=self.model, reduction=self.reduction, output=self.output)

    def _scores(self, logits: Tensor, class_index: Tensor, size: torch.Size) -> Tensor:
        images = torch.arange(len(logits), device=logits.device)
        index = class_index.to(logits.device)
        if self.output == "softmax":
            return resize(logits, size).softmax(1)[images, index]
        return resize(logits[images, index][:, None], size)[:, 0]


def logits_of(output: Any) -> Tensor:
    """Return the logits (B, C, h, w) in the output of a segmentation model.

    Args:
        output: Tensor, object with ``logits``, mapping with "out" or "logits", or a list or tuple
            whose first entry is one of these.

    Raises:
        TypeError: If there are no logits.
    """
    if isinstance(output, (list, tuple)) and output and not hasattr(output, "logits"):
        return logits_of(output[0])
    logits = output
    if hasattr(output, "logits"):
        logits = output.logits
    elif isinstance(output, Mapping):
        key = next((key for key in LOGITS_KEYS if key in output), None)
        if key is None:
            raise TypeError(
                f"the model returned a mapping with {list(output)}, expected one with "
                f"{' or '.join(map(repr, LOGITS_KEYS))}: wrap the model to return its logits"
            )
        logits = output[key]
    if not isinstance(logits, Tensor) or logits.dim() != 4:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(
            f"the model returned {given}, expected logits (B, C, h, w): wrap the model to return "
            "them"
        )
    return logits


def check_tasks(images: Tensor, region: Tensor, class_index: Tensor) -> None:
    """Check that images, regions and classes belong together.

    Args:
        images: Images (B, 3, H, W).
        region: Pixels to explain, bool (B, H, W).
        class_index: Class of each image, (B,).

    Raises:
        ValueError: If the shapes do not fit.
        TypeError: If a type does not fit.
    """
    check_regions(images, region)
    hint, sizes = "one class per image, as in torch.tensor([1])", {"batch": len(images)}
    tensor("class_index", class_index, "batch", "integers", hint=hint, sizes=sizes)


def check_regions(images: Tensor, region: Tensor) -> None:
    """Check that images and regions belong together.

    Args:
        images: Images (B, 3, H, W).
        region: Pixels to explain, bool (B, H, W).

    Raises:
        ValueError: If the shapes do not fit.
        TypeError: If a type does not fit.
    """
    tensor("images", images, "batch channels height width", hint=IMAGE_HINT)
    if not images.numel():
        raise ValueError(f"images have shape {tuple(images.shape)}, expected at least one pixel")
    batch, _, height, width = images.shape
    dims, hint = "batch height width", "one per image, at the size of images, as in map == 3"
    sizes = {"batch": batch, "height": height, "width": width}
    tensor("region", region, dims, "bool", hint=hint, sizes=sizes)


def check_classes(class_index: Tensor, num_classes: int) -> None:
    """Check that all classes are in ``0 … num_classes - 1``.

    Raises:
        ValueError: If one is not.
    """
    outside = class_index[(class_index < 0) | (class_index >= num_classes)]
    if len(outside):
        raise ValueError(f"class_index holds {int(outside[0])}, expected 0 to {num_classes - 1}")
