"""Template of a family of backbones: "stripes/small" and "stripes/large"."""

from torch import nn

from protoxai.backbones.base import Backbone
from protoxai.backbones.families import register_backbone
from protoxai.backbones.levels import Levels
from protoxai.backbones.module import ModuleBackbone
from protoxai.backbones.weights import StateDict

WIDTHS = {"small": 16, "large": 64}
"""Channels of each network."""


@register_backbone("stripes", names=lambda: WIDTHS)
def create_stripes(
    name: str,
    *,
    weights: bool | StateDict,
    output_stride: int,
    levels: Levels,
) -> Backbone:
    """Create a backbone of this family.

    Args:
        name: Name of the network, without that of the family.
        weights: True for pretrained weights, False for random ones, or a state dict.
        output_stride: Image pixels per pixel of the last map.
        levels: Maps to return; None for the last.

    Raises:
        ValueError: If there is no such network, or there are no pretrained weights.
    """
    if name not in WIDTHS:
        raise ValueError(f"there is no 'stripes/{name}', expected one of {', '.join(WIDTHS)}")
    if weights is True:
        raise ValueError("'stripes' has no pretrained weights: give pretrained=False or a file")
    network = nn.Sequential(
        nn.Conv2d(3, WIDTHS[name], output_stride, stride=output_stride), nn.ReLU()
    )
    if weights:
        network.load_state_dict(weights)
    return ModuleBackbone(network, levels=levels, output_stride=output_stride)
