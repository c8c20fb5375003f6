"""One prototype's activation, as the number that an attribution explains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from protoxai.attribution.target import IMAGE_HINT, check_regions
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.checks import Range, choice, instance, whole
from protoxai.runtime.representation import call_repr
from protoxai.runtime.resize import resize
from protoxai.runtime.tensors import tensor
from protoxai.runtime.wrappers import unwrapped

REDUCTIONS = ("mean", "peak")


class PrototypeTarget(nn.Module):
    """A prototype's activation over a region as the model's only output, one number per image.

    The activation map is resized bilinearly (corners not aligned) to the image, unless the region
    consists of cells of the feature grid. The region is an argument, so that Captum repeats it with
    the images (``additional_forward_args=(region,)``) and requires no ``target``.

    Args:
        model: Prototype model; its mode is not changed.
        prototype: Index of the prototype.
        reduction: "mean" over the region's pixels, or "peak", the highest activation among them.

    Raises:
        TypeError: If the model has no prototypes.
        ValueError: If there is no such prototype, or the reduction is unknown.

    Example:
        >>> import torch
        >>> from captum.attr import Saliency
        >>> from protoxai import ScaleProtoSeg
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4).eval()
        >>> images = torch.rand(2, 3, 32, 40, requires_grad=True)
        >>> region = torch.ones(2, 32, 40, dtype=torch.bool)
        >>> target = PrototypeTarget(model, prototype=3, reduction="peak")
        >>> target(images, region).shape
        torch.Size([2])
        >>> Saliency(target).attribute(images, additional_forward_args=(region,)).shape
        torch.Size([2, 3, 32, 40])
    """

    def __init__(self, model: ScaleProtoSeg, prototype: int, reduction: str = "mean") -> None:
        super().__init__()
        hint = "explain a model without prototypes with SegmentationTarget"
        self.model = instance("model", unwrapped(model), ScaleProtoSeg, hint)
        known = Range(least=0, most=len(self.model.table) - 1)
        self.prototype = whole("prototype", prototype, known)
        self.reduction = choice("reduction", reduction, REDUCTIONS)

    def forward(self, images: Tensor, region: Tensor) -> Tensor:
        """Return the prototype's activation in each image.

        Args:
            images: Images (B, 3, H, W), normalised as the model requires.
            region: Pixels to explain, bool (B, H, W), or cells of the feature grid, bool (B, h, w).

        Returns:
            The activations (B,); NaN for an empty region.

        Raises:
            ValueError: If the shapes do not fit.
            TypeError: If a type does not fit.
        """
        tensor("images", images, "batch channels height width", hint=IMAGE_HINT)
        sizes, hint = {"batch": len(images)}, "one per image, at the size of images or of the grid"
        tensor("region", region, "batch height width", "bool", sizes=sizes, hint=hint)
        activations = self.model(images).activations[:, self.prototype, None]
        if region.shape[1:] != activations.shape[2:]:
            check_regions(images, region)
        maps = resize(activations, region.shape[1:])[:, 0]
        pixels = region.sum((1, 2))
        if self.reduction == "mean":
            return maps.masked_fill(~region, 0).sum((1, 2)) / pixels
        peaks = maps.masked_fill(~region, -torch.inf).amax((1, 2))
        return peaks.masked_fill(pixels == 0, torch.nan)

    def __repr__(self) -> str:
        return call_repr(self, model=self.model, prototype=self.prototype, reduction=self.reduction)
