"""Scales: from a backbone's feature maps to one map per scale."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from protoxai.runtime.checks import (
    POSITIVE,
    Range,
    did_you_mean,
    flag,
    number,
    shown,
    whole,
    wholes_of,
)
from protoxai.runtime.representation import call_repr
from protoxai.runtime.resize import resize
from protoxai.runtime.tensors import tensor

SCALES = ("atrous", "atrous-sum", "pyramid")
# Channels last speeds up a convolution only if its output channels are a multiple of this.
CHANNEL_BLOCK = 16
CHANNELS, RATES = Range(least=1, most=1_000_000), Range(least=1, most=1000)


def create_scales(
    spec: str | nn.Module,
    in_channels: Sequence[int],
    dim: int,
    *,
    atrous_rates: Sequence[int] = (6, 12, 18, 24),
    init_gain: float | None = None,
) -> nn.Module:
    """Create scales by name, or check a module of your own.

    Args:
        spec: "atrous", "atrous-sum" (one scale), "pyramid", or a module with ``num_scales`` (S) and
            ``dim`` (D) that maps a list of feature maps to (B, S, D, h, w).
        in_channels: Channels of each feature map, finest first.
        dim: Number of channels D of each scale.
        atrous_rates: Dilation of each atrous branch.
        init_gain: Gain of the initial weights; see the classes.

    Raises:
        ValueError: If the name is unknown or the module does not fit.

    Example:
        >>> create_scales("pyramid", in_channels=(8, 16), dim=4).num_scales
        2
    """
    if isinstance(spec, nn.Module):
        return _check_own_scales(spec, dim)
    if not isinstance(spec, str):
        raise TypeError(f"scales is {shown(spec)}, expected one of {SCALES} or a module")
    if spec == "pyramid":
        return PyramidScales(in_channels, dim, init_gain)
    if spec in ("atrous", "atrous-sum"):
        summed = spec == "atrous-sum"
        return AtrousScales(in_channels[-1], dim, atrous_rates, summed, init_gain)
    raise ValueError(
        f"scales is {spec!r}, expected one of {SCALES} or a module{did_you_mean(spec, SCALES)}"
    )


def _check_own_scales(module: nn.Module, dim: int) -> nn.Module:
    for attribute in ("num_scales", "dim"):
        if not isinstance(getattr(module, attribute, None), int):
            raise ValueError(
                f"the scales module {type(module).__name__} has no whole number `{attribute}`: "
                "set num_scales (S) and dim (D), and return (B, S, D, h, w)"
            )
    if module.dim != dim:
        raise ValueError(f"the scales module has dim {module.dim}, expected {dim}")
    return module


class AtrousScales(nn.Module):
    """Parallel 3x3 convolutions of growing dilation over the deepest feature map.

    This is DeepLabv2's atrous spatial pyramid pooling (Chen et al., arXiv 1606.00915, section 3.2)
    whose branches are kept apart as scales (Porta et al., WACV 2025) or summed to one.

    Args:
        in_channels: Number of channels of the feature map.
        dim: Number of channels D of each scale.
        rates: Dilation (and padding) of each branch, in feature pixels.
        summed: Whether to add the branches up to a single scale, as DeepLabv2 and ProtoSeg do.
        init_gain: Factor on the standard deviation of Kaiming's rule for the initial weights (0.2
            keeps a subsequent sigmoid from saturating); None: N(0, 0.01²), as in the released code.

    Raises:
        ValueError: If ``rates`` are not whole numbers of at least 1.

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
        self.in_channels = whole("in_channels", in_channels, CHANNELS)
        self.dim = whole("dim", dim, CHANNELS)
        self.rates = wholes_of("rates", rates, expected=RATES)
        self.summed = flag("summed", summed)
        self.init_gain = _check_gain(init_gain)
        self.num_scales = 1 if self.summed else len(self.rates)
        self.branches = nn.ModuleList(
            nn.Conv2d(self.in_channels, self.dim, 3, padding=rate, dilation=rate)
            for rate in self.rates
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
        """Return the scales (B, S, D, h, w), before any activation, of the last feature map.

        Raises:
            TypeError: If the features are not a list of maps.
            ValueError: If the last map has another number of channels, or there is none.
        """
        deepest = _check_maps(features, [self.in_channels])[-1]
        if deepest.device.type == "cpu" and self.dim % CHANNEL_BLOCK == 0:
            # On the CPU, convolutions with large dilations are only fast in channels last.
            deepest = deepest.contiguous(memory_format=torch.channels_last)
        maps = [branch(deepest) for branch in self.branches]
        if self.summed:
            maps = [torch.stack(maps).sum(0)]
        return torch.stack(maps, 1).contiguous()

    def __repr__(self) -> str:
        return call_repr(
            self,
            in_channels=self.in_channels,
            dim=self.dim,
            rates=self.rates,
            summed=self.summed,
            init_gain=self.init_gain,
        )


class PyramidScales(nn.Module):
    """One scale per level of a feature pyramid, each a 1x1 convolution, on the finest level's grid.

    Args:
        in_channels: Channels of each feature map, finest first.
        dim: Number of channels D of each scale.
        init_gain: Factor on the standard deviation of Kaiming's rule for the initial weights; None:
            1.

    Raises:
        ValueError: If ``in_channels`` is empty.

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
        self.in_channels = wholes_of("in_channels", in_channels, expected=CHANNELS)
        self.dim = whole("dim", dim, CHANNELS)
        self.init_gain = _check_gain(init_gain)
        self.num_scales = len(self.in_channels)
        self.projections = nn.ModuleList(
            nn.Conv2d(channels, self.dim, 1) for channels in self.in_channels
        )
        for parameter in self.parameters():
            if parameter.dim() == 1:
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_normal_(parameter)
                parameter.data.mul_(1.0 if init_gain is None else init_gain)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the scales (B, S, D, h, w), before any activation, on the first map's grid.

        Raises:
            TypeError: If the features are not a list of maps.
            ValueError: If there is not one map per level, with its number of channels.
        """
        _check_maps(features, self.in_channels)
        if len(features) != self.num_scales:
            raise ValueError(
                f"features: got {len(features)} feature maps, expected {self.num_scales}: one per "
                "pyramid level, finest first"
            )
        size = features[0].shape[2:]
        maps = [project(map_) for project, map_ in zip(self.projections, features, strict=True)]
        return torch.stack([resize(map_, size) for map_ in maps], 1)

    def __repr__(self) -> str:
        return call_repr(self, in_channels=self.in_channels, dim=self.dim, init_gain=self.init_gain)


def _check_gain(init_gain: float | None) -> float | None:
    return None if init_gain is None else number("init_gain", init_gain, POSITIVE)


def _check_maps(features: Sequence[Tensor], channels: Sequence[int]) -> Sequence[Tensor]:
    """Return a list of maps, the last ones of which have the given numbers of channels."""
    if isinstance(features, str) or not isinstance(features, Sequence):
        raise TypeError(
            f"features: got {shown(features)} ({type(features).__name__}), expected a list of "
            "feature maps (batch, channels, height, width), finest first"
        )
    if not features:
        raise ValueError("features are empty, expected a list of feature maps, finest first")
    for maps, own in zip(features[::-1], channels[::-1], strict=False):
        tensor("features", maps, "batch channels height width", meta=True, sizes={"channels": own})
    return features
