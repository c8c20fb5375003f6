"""Backbones of timm: convolutional networks, and plain and hierarchical transformers."""

import inspect
from typing import Any

import timm
import torch
from torch import Tensor, nn

from protoxai.backbones.base import Backbone
from protoxai.backbones.families import register_backbone
from protoxai.backbones.levels import Levels, choose_levels
from protoxai.backbones.sizes import find_size_rule
from protoxai.backbones.weights import StateDict
from protoxai.runtime.checks import did_you_mean

_ANY_SIZE = {"dynamic_img_size": True, "strict_img_size": False}


class TimmBackbone(Backbone):
    """Feature levels of a timm model, created by `create_backbone("timm/<name>")`.

    Args:
        features: Model created by timm with `features_only=True`, which returns maps (B, C, h, w).

    Example:
        >>> backbone = TimmBackbone(timm.create_model("test_resnet", features_only=True))
        >>> backbone.channels
        (32, 32, 48, 192, 96)
    """

    def __init__(self, features: nn.Module) -> None:
        config, info = _config(features), _feature_info(features)
        reductions = tuple(int(reduction) for reduction in info.reduction())
        rule = find_size_rule(features, reductions, config["input_size"][-2:])
        super().__init__(
            channels=tuple(info.channels()),
            reductions=reductions,
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            divisor=rule.divisor,
            image_size=rule.image_size,
        )
        self.features = features

    def extract(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the chosen levels."""
        return list(self.features(images))


@register_backbone("timm", names=timm.list_models)
def create_timm_backbone(
    name: str, *, weights: bool | StateDict, output_stride: int, levels: Levels
) -> TimmBackbone:
    """Create the backbone of a timm model, e.g. "resnet50" or "resnet50.a1_in1k".

    Args:
        name: Name in timm, with or without a tag of pretrained weights.
        weights: True for those of the hub, False for random ones, or a state dict of the model.
        output_stride: Image pixels per pixel of the coarsest map (8, 16 or 32), achieved by
            dilation if the architecture supports it; otherwise the natural stride is kept.
        levels: Feature levels to return, see `create_backbone`.

    Raises:
        ValueError: If timm has no such model, it has no such levels, or the weights do not fit.
    """
    if not timm.is_model(name):
        raise ValueError(
            f"timm has no model {name!r}{did_you_mean(name, timm.list_models())}: "
            "timm.list_models() lists its names"
        )
    with torch.device("meta"):
        natural: Any = timm.create_model(name)
    reductions = [level["reduction"] for level in natural.feature_info]
    indices = choose_levels(levels, reductions, output_stride)
    options: dict[str, Any] = {
        option: value for option, value in _ANY_SIZE.items() if option in _init_names(natural)
    }
    if levels != "pyramid" and reductions[indices[-1]] > output_stride:
        options["output_stride"] = output_stride
    return TimmBackbone(_create_features(name, indices, weights, options))


def _create_features(
    name: str, indices: tuple[int, ...], weights: bool | StateDict, options: dict[str, Any]
) -> nn.Module:
    if isinstance(weights, bool):
        try:
            return _dilated_if_possible(name, indices, pretrained=weights, **options)
        except Exception as error:  # the hub, the network and timm raise errors of many types
            if not weights:
                raise
            raise ValueError(
                f"the pretrained weights of 'timm/{name}' cannot be loaded ({error}): give "
                "pretrained=False for random ones, or the path of a local file"
            ) from error
    options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": weights}}
    starts = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                starts.append(_dilated_if_possible(name, indices, **options))
            except (RuntimeError, KeyError) as error:
                raise ValueError(
                    f"the weights do not fit 'timm/{name}' ({error}): give weights saved from the "
                    "same model"
                ) from error
    _check_all_given(name, *starts)
    for part in starts[0].modules():
        for config in (part.__dict__.get("pretrained_cfg"), part.__dict__.get("default_cfg")):
            if isinstance(config, dict):
                config.pop("state_dict", None)
    return starts[0]


def _dilated_if_possible(name: str, indices: tuple[int, ...], **options: Any) -> nn.Module:
    # timm's getter drops every stage that is not used; a few families dilate only without it, and
    # those that cannot dilate raise a TypeError or an AssertionError for the option.
    natural = {key: value for key, value in options.items() if key != "output_stride"}
    attempts = [{"feature_cls": "getter"} | options, options, {"feature_cls": "getter"} | natural]
    for attempt in attempts:
        try:
            features = timm.create_model(name, features_only=True, out_indices=indices, **attempt)
        except (TypeError, AssertionError):
            continue
        return _without_later_stages(features)
    return timm.create_model(name, features_only=True, out_indices=indices, **natural)


def _without_later_stages(features: nn.Module) -> nn.Module:
    blocks = getattr(features, "blocks", None)
    if isinstance(blocks, nn.Sequential):
        last_stage = max(level["stage"] for level in _feature_info(features).get_dicts())
        features.blocks = blocks[:last_stage]
    return features


def _check_all_given(name: str, first: nn.Module, second: nn.Module) -> None:
    """Raise an error if two models, initialised differently, differ after loading weights.

    Their differences are the tensors that the weights lack. The keys do not show this, because timm
    renames and reshapes those of many formats and ignores what is left.
    """
    others = dict(second.named_parameters())
    missing = [
        key for key, value in first.named_parameters() if not torch.equal(value, others[key])
    ]
    if missing:
        raise ValueError(
            f"the weights given for 'timm/{name}' lack {len(missing)} of its {len(others)} "
            f"tensors (first: {missing[0]!r}): give weights saved from the same model"
        )


def _init_names(model: nn.Module) -> set[str]:
    signatures = (inspect.signature(cls) for cls in type(model).__mro__[:-1])
    return {name for signature in signatures for name in signature.parameters}


def _config(features: nn.Module) -> dict[str, Any]:
    config: dict[str, Any] = features.pretrained_cfg  # type: ignore[assignment]
    return config


def _feature_info(features: nn.Module) -> Any:
    return features.feature_info
