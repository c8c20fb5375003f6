"""Plain DeepLabv2: the black box on the same trunk."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor, nn

from protoxai.model.options import TrunkOptions
from protoxai.model.outputs import LinearOutput
from protoxai.model.segmenter import Segmenter


class LinearSegmenter(Segmenter):
    """Plain DeepLabv2: the branches, as many channels as classes, summed to logits.

    Chen et al., arXiv 1606.00915. The black box on the same trunk, to compare with.

    Args:
        backbone: as for :class:`ScaleProtoSeg`.
        num_classes: number of classes C.
        scales: "atrous-sum", or another kind of scales, which are summed all the same.
        options: of the trunk; see :class:`~protoxai.model.segmenter.TrunkOptions`.

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
        super().__init__(
            backbone, num_classes, scales=scales, dim=num_classes, config={}, **options
        )

    def forward(self, images: Tensor) -> LinearOutput:
        """Segment normalised images (B, 3, H, W); logits are at feature resolution."""
        maps, each = self.scale_maps(images)
        auxiliary = each if self.training else ()
        return LinearOutput(maps.sum(1), tuple(LinearOutput(own.sum(1)) for own in auxiliary))
