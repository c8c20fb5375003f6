"""Scales: from a backbone's feature maps to one embedding map per scale."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from protoxai.runtime.resize import resize

# Convolutions to other numbers of channels than a multiple of this gain nothing by channels last.
CHANNEL_BLOCK = 16


class AtrousScales(nn.Module):
    """Parallel 3x3 convolutions of growing dilation over the deepest feature map.

    DeepLabv2's atrous spatial pyramid pooling (Chen et al., arXiv 1606.00915, section 3.2), its
    branches kept apart as scales (Porta et al., WACV 2025) or summed to one.

    Args:
        in_channels: channels of the feature map.
        dim: channels D of each scale.
        rates: dilation (and padding) of each branch, in feature pixels.
        summed: add the branches up to a single scale, as DeepLabv2 and ProtoSeg do.
        init_gain: None draws the weights from N(0, 0.01²), as released. A number draws them by
            Kaiming's rule times it: 0.2 keeps a sigmoid behind it from saturating.

    Example:
        >>> import torch
        >>> scales = AtrousScales(in_channels=8, dim=4, rates=(1, 2, 3))
        >>> scales([torch.rand(1, 8, 5, 6)]).shape
        torch.Size([1, 3, 4, 5, 6])
    """

    def __init__(
        self,
        in_channels: int,
        dim: int = 64,
        rates: Sequence[int] = (6, 12, 18, 24),
        summed: bool = False,
        init_gain: float | None = None,
    ) -> None:
        super().__init__()
        if (
            not isinstance(rates, Sequence)
            or not rates
            or any(rate != int(rate) or rate < 1 for rate in rates)
        ):
            raise ValueError(
                f"rates are {rates}, expected a list of whole numbers of at least 1, such as "
                "(6, 12, 18, 24)"
            )
        self.dim = dim
        self.summed = summed
        self.num_scales = 1 if summed else len(rates)
        self.branches = nn.ModuleList(
            nn.Conv2d(in_channels, dim, 3, padding=rate, dilation=rate) for rate in rates
        )
        for parameter in self.parameters():
            if parameter.dim() == 1:
                nn.init.zeros_(parameter)
            elif init_gain is None:
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.kaiming_normal_(parameter)
                parameter.data.mul_(init_gain)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, S, D, h, w), before any activation, of maps whose last is (B, C, h, w)."""
        deepest = features[-1]
        if deepest.device.type == "cpu" and self.dim % CHANNEL_BLOCK == 0:
            # Where dilation is large, channels last is the only layout with a fast convolution.
            deepest = deepest.contiguous(memory_format=torch.channels_last)
        maps = [branch(deepest) for branch in self.branches]
        if self.summed:
            maps = [torch.stack(maps).sum(0)]
        return torch.stack(maps, 1).contiguous()


class PyramidScales(nn.Module):
    """One scale per level of a feature pyramid, each a 1x1 convolution, on the finest level's grid.

    Args:
        in_channels: channels of each feature map, finest first.
        dim: channels D of each scale.
        init_gain: Kaiming's rule times this number gives the weights' deviation.

    Example:
        >>> import torch
        >>> scales = PyramidScales(in_channels=(8, 16), dim=4)
        >>> scales([torch.rand(1, 8, 10, 12), torch.rand(1, 16, 5, 6)]).shape
        torch.Size([1, 2, 4, 10, 12])
    """

    def __init__(
        self, in_channels: Sequence[int], dim: int = 64, init_gain: float | None = None
    ) -> None:
        super().__init__()
        if not in_channels:
            raise ValueError("in_channels is empty, expected the channels of each pyramid level")
        self.dim = dim
        self.num_scales = len(in_channels)
        self.projections = nn.ModuleList(nn.Conv2d(channels, dim, 1) for channels in in_channels)
        for parameter in self.parameters():
            if parameter.dim() == 1:
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_normal_(parameter)
                parameter.data.mul_(1.0 if init_gain is None else init_gain)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, S, D, h, w), before any activation; h x w is the first map's grid.

        Raises:
            ValueError: if the number of maps is not the number of levels.
        """
        if len(features) != self.num_scales:
            raise ValueError(
                f"{len(features)} feature maps came, expected {self.num_scales}: one for each "
                "pyramid level, finest first"
            )
        size = features[0].shape[2:]
        maps = [project(map_) for project, map_ in zip(self.projections, features, strict=True)]
        return torch.stack([resize(map_, size) for map_ in maps], 1)
