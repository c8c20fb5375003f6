"""Plain DeepLabv2, the black box on the same trunk."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor, nn

from protoxai.model.options import TrunkOptions, complete, explicit_options
from protoxai.model.outputs import LinearOutput
from protoxai.model.segmenter import Segmenter


@explicit_options(TrunkOptions)
class LinearSegmenter(Segmenter):
    """Plain DeepLabv2: each scale has a channel per class, and their sum is the logits.

    It is the black box to compare with, on the same trunk. Source: Chen et al., arXiv 1606.00915.

    Args:
        backbone: ``"timm/<name>"``, ``"torchvision/<name>"``, ``"deeplabv2/<resnet>"``,
            ``"unet"``, or a module that returns a map, a list of maps or a dict of maps.
        num_classes: Number of classes C.
        scales: "atrous-sum", "atrous", "pyramid" or a module; the logits are the sum of all scales.
        **options: Options of the trunk.

    Raises:
        ValueError: If an argument does not fit.
        TypeError: If an option is unknown.

    Example:
        >>> import torch
        >>> model = LinearSegmenter(torch.nn.Conv2d(3, 8, 3, stride=8), num_classes=2)
        >>> model(torch.rand(1, 3, 32, 40)).logits.shape
        torch.Size([1, 2, 4, 5])
    """

    def __init__(
        self,
        backbone: str | nn.Module,
        num_classes: int,
        *,
        scales: str | nn.Module = "atrous-sum",
        **options: Unpack[TrunkOptions],
    ) -> None:
        chosen = complete(TrunkOptions, options)
        super().__init__(backbone, num_classes, scales=scales, dim=num_classes, options=chosen)

    def forward(self, images: Tensor) -> LinearOutput:
        """Segment normalised images (B, 3, H, W); the logits are at feature resolution."""
        maps, each = self.scale_maps(images)
        auxiliary = each if self.training else ()
        return LinearOutput(maps.sum(1), tuple(LinearOutput(own.sum(1)) for own in auxiliary))
