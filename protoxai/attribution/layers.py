"""Layers of a model, made hookable for Captum whatever they return."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from protoxai.runtime.checks import did_you_mean, shown
from protoxai.runtime.resize import resize
from protoxai.runtime.wrappers import unwrapped

TRUNKS = ("backbone", "encoder")
"""Attributes that hold the feature extractor, in our models and other libraries'."""


def find_layer(model: nn.Module, layer: str | nn.Module | None) -> nn.Module:
    """Return a layer of a model.

    Args:
        model: Model to search.
        layer: Name such as "backbone.layer4", a module of the model, or None for the model's
            ``backbone`` or ``encoder``, whose last map is the last feature map.

    Raises:
        ValueError: If the model has no such layer.
    """
    children = [name for name, _ in model.named_children()]
    if isinstance(layer, nn.Module):
        if not any(part is layer for part in model.modules()):
            raise ValueError(
                f"the layer {type(layer).__name__} is not part of the model: pass one of "
                "model.named_modules()"
            )
        return layer
    if isinstance(layer, str):
        try:
            return model.get_submodule(layer)
        except AttributeError as error:
            raise ValueError(
                f"the model has no layer {shown(layer)}: it has {children}, and their parts by "
                f"names such as {_example(model)!r}{did_you_mean(layer, _names(model))}"
            ) from error
    if layer is not None:
        raise TypeError(
            f"layer is {shown(layer)}, expected a module of the model, its name, or None"
        )
    trunk = _trunk(model)
    if trunk is not None:
        return trunk
    raise ValueError(
        f"{type(model).__name__} has none of {TRUNKS}, so its last feature map is not known: name "
        f"the layer that returns it with layer=, among {children} and their parts"
    )


def has_trunk(model: nn.Module) -> bool:
    """Return whether a model has a layer that :func:`find_layer` finds without its name."""
    return _trunk(unwrapped(model)) is not None


def _trunk(model: nn.Module) -> nn.Module | None:
    parts = (getattr(model, name, None) for name in TRUNKS)
    return next((part for part in parts if isinstance(part, nn.Module)), None)


def _names(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_modules() if name]


def _example(model: nn.Module) -> str:
    """Return the name of a part of a trunk, or of the last part of the model."""
    names = _names(model)
    nested = [name for name in names if name.count(".") == 1]
    trunk = [name for name in nested if name.startswith(TRUNKS)]
    return [*names[-1:], *nested[-1:], *trunk[-1:]][-1] if names else ""


@contextmanager
def hookable(
    model: nn.Module, layer: nn.Module, identity: type[nn.Module] = nn.Identity
) -> Iterator[list[nn.Module]]:
    """Route a layer's output, flattened to (B, C, h, w), through identity modules.

    Captum's layer methods see a module's output if it is a tensor and the module is called once
    per forward pass. Trunks return lists or mappings of maps (the last, or the one named "out", is
    routed), and are called once per input scale.

    Args:
        model: Model that contains the layer.
        layer: Module of the model.
        identity: Class of the identity modules.

    Yields:
        The identity modules, one for each call of the layer in a forward pass. There is one at
        first; the others are added when the model runs.
    """
    identities = [identity()]
    calls = 0

    def reset(*_: Any) -> None:
        nonlocal calls
        calls = 0

    def route(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > len(identities):
            identities.append(identity())
        return _route_last(output, identities[calls - 1])

    def check(*_: Any) -> None:
        if not calls:
            raise ValueError(
                f"the layer {type(layer).__name__} takes no part in the model's forward pass: "
                "choose another with layer="
            )

    hooks = [
        model.register_forward_pre_hook(reset),
        layer.register_forward_hook(route),
        model.register_forward_hook(check),
    ]
    try:
        yield identities
    finally:
        for hook in hooks:
            hook.remove()


def map_on_image(per_call: Sequence[Tensor], size: torch.Size) -> Tensor:
    """Return attributions to a layer as one map at the size of the image, which keeps their sum.

    Args:
        per_call: Attribution (B, C, h, w) to the layer's output at each of its calls.
        size: Height and width (H, W) of the image.

    Returns:
        The sum over channels and calls, (B, H, W).
    """
    maps = [
        resize(values.sum(1, keepdim=True), size)[:, 0] * (values.shape[2:].numel() / size.numel())
        for values in per_call
    ]
    return torch.stack(maps).sum(0)


def _route_last(output: Any, identity: nn.Module) -> Any:
    """Return the output with its last map routed through an identity module."""
    if isinstance(output, MutableMapping):
        key = "out" if "out" in output else list(output)[-1]
        mapping = copy(output)
        mapping[key] = _route_last(output[key], identity)
        return mapping
    if isinstance(output, (list, tuple)) and output:
        maps = [*output[:-1], _route_last(output[-1], identity)]
        return maps if isinstance(output, list) else tuple(maps)
    if not isinstance(output, Tensor) or output.dim() < 4:
        given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"the layer returns {given}, expected feature maps (B, C, h, w): choose another with "
            "layer="
        )
    return identity(output.flatten(1, -3)).view_as(output)
