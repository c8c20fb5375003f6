"""A small U-Net: an encoder and a decoder with skip connections, for fine structures."""

import torch
from torch import Tensor, nn

from protoxai.backbones.base import Backbone
from protoxai.backbones.families import register_backbone
from protoxai.backbones.levels import Levels, choose_levels
from protoxai.backbones.weights import StateDict, load_weights

REDUCTIONS = (1, 2, 4, 8, 16)


class UNet(Backbone):
    """A U-Net with batch norm and padded convolutions (Ronneberger et al., arXiv 1505.04597).

    Its levels are the maps of the decoder, from the full resolution (level 0, the default) to the
    bottom (level 4, 1/16). Maps of odd sizes are halved rounding up, and the upsampled map is cut
    to the size of the skip, so images of any size are taken. The paper's network is twice as wide,
    and has neither batch norm nor padding.

    Args:
        base_width: Channels at full resolution; each halving of the resolution doubles them.
        levels: Maps to return, of the five, see `create_backbone`; None is the full resolution.
            The decoder ends at the finest of them.

    Raises:
        ValueError: If `base_width` is less than 1, or a level does not exist.

    Example:
        >>> trunk = UNet(base_width=4, levels=[0, 2])
        >>> [tuple(features.shape) for features in trunk(torch.zeros(1, 3, 33, 46))]
        [(1, 4, 33, 46), (1, 16, 9, 12)]
    """

    def __init__(self, base_width: int = 32, *, levels: Levels = None) -> None:
        if base_width < 1:
            raise ValueError(f"base_width is {base_width}, expected at least 1")
        # The network's last map is its finest, not its coarsest.
        indices = choose_levels([0] if levels is None else levels, REDUCTIONS, output_stride=8)
        widths = [base_width * reduction for reduction in REDUCTIONS]
        super().__init__(
            channels=tuple(widths[i] for i in indices),
            reductions=tuple(REDUCTIONS[i] for i in indices),
        )
        self.levels = indices
        self.encoder = nn.ModuleList(
            _block(before, width) for before, width in zip((3, *widths), widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        steps = range(indices[0], len(widths) - 1)
        self.upsample = nn.ModuleDict(
            {str(i): nn.ConvTranspose2d(widths[i + 1], widths[i], 2, stride=2) for i in steps}
        )
        self.decoder = nn.ModuleDict({str(i): _block(2 * widths[i], widths[i]) for i in steps})
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def extract(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the chosen levels."""
        skips, features = [], images
        for level, block in enumerate(self.encoder):
            features = block(self.pool(features) if level else features)
            skips.append(features)
        maps = {len(skips) - 1: features}
        for level in reversed(range(self.levels[0], len(skips) - 1)):
            skip = skips[level]
            upsampled = self.upsample[str(level)](features)
            upsampled = upsampled[..., : skip.shape[2], : skip.shape[3]]
            features = self.decoder[str(level)](torch.cat([skip, upsampled], 1))
            maps[level] = features
        return [maps[level] for level in self.levels]


@register_backbone("unet", names=lambda: ("",))
def create_unet_backbone(
    name: str, *, weights: bool | StateDict, output_stride: int, levels: Levels
) -> UNet:
    """Create the trunk "unet".

    Args:
        name: Always empty: the family has one network.
        weights: False for random ones, or a state dict; there are no pretrained ones.
        output_stride: Image pixels per pixel of the finest map of a pyramid.
        levels: Maps to return, of the five, see `create_backbone`; None is the full resolution.

    Raises:
        ValueError: If there is no such trunk or level, the weights do not fit, or pretrained ones
            are requested.
    """
    if name:
        raise ValueError(f"'unet/{name}' is unknown, expected 'unet', which has no variants")
    if weights is True:
        raise ValueError(
            "'unet' has no pretrained weights: set pretrained to False, or to the path of your own"
        )
    if levels == "pyramid":
        levels = choose_levels(levels, REDUCTIONS, output_stride)
    backbone = UNet(levels=levels)
    if weights:
        load_weights(backbone, weights, "unet")
    return backbone


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return two 3x3 convolutions, each with batch norm and a rectifier."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
