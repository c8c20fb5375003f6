"""The layer that layer attributions look at, made visible to Captum whatever it returns."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from copy import copy
from typing import Any

from torch import Tensor, nn

TRUNKS = ("backbone", "encoder")


def find_layer(model: nn.Module, layer: str | nn.Module | None) -> nn.Module:
    """Return the layer of a model: by name, by itself, or its trunk.

    Args:
        model: the model.
        layer: name such as "backbone.layer4", a module of the model, or None for the model's
            ``backbone`` or ``encoder``, whose last map is the last feature map.

    Raises:
        ValueError: if the model has no such layer.
    """
    children = [name for name, _ in model.named_children()]
    if isinstance(layer, nn.Module):
        if not any(part is layer for part in model.modules()):
            raise ValueError(
                f"the layer {type(layer).__name__} is no part of the model: give one of "
                "model.named_modules()"
            )
        return layer
    if isinstance(layer, str):
        try:
            return model.get_submodule(layer)
        except AttributeError as error:
            raise ValueError(
                f"the model has no layer {layer!r}: it has {children}, and their parts by names "
                "such as 'backbone.layer4'"
            ) from error
    for name in TRUNKS:
        trunk = getattr(model, name, None)
        if isinstance(trunk, nn.Module):
            return trunk
    raise ValueError(
        f"{type(model).__name__} has none of {TRUNKS}, so its last feature map is not known: name "
        f"the layer that returns it with layer=, among {children} and their parts"
    )


@contextmanager
def tapped(model: nn.Module, layer: nn.Module) -> Iterator[list[nn.Module]]:
    """Lead the map that a layer returns, flattened to (B, C, h, w), through modules of its own.

    Captum's layer methods see a module's output if it is a tensor and the module is called once in
    a forward pass. Trunks return lists and mappings of maps (the last, or the one named "out", is
    led), and are called once for each input scale.

    Args:
        model: the model.
        layer: a part of it.

    Yields:
        A module for each time that the layer is called in a forward pass: one at first, the others
        when the model has run.
    """
    taps: list[nn.Module] = [nn.Identity()]
    calls = 0

    def start(*_: Any) -> None:
        nonlocal calls
        calls = 0

    def lead(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > len(taps):
            taps.append(nn.Identity())
        return _with_last(output, taps[calls - 1])

    def finish(*_: Any) -> None:
        if not calls:
            raise ValueError(
                f"the layer {type(layer).__name__} takes no part in the model's forward pass: "
                "give another with layer="
            )

    hooks = [
        model.register_forward_pre_hook(start),
        layer.register_forward_hook(lead),
        model.register_forward_hook(finish),
    ]
    try:
        yield taps
    finally:
        for hook in hooks:
            hook.remove()


def _with_last(output: Any, tap: nn.Module) -> Any:
    """Return the output with its last map led through the tap."""
    if isinstance(output, MutableMapping):
        key = "out" if "out" in output else list(output)[-1]
        mapping = copy(output)
        mapping[key] = _with_last(output[key], tap)
        return mapping
    if isinstance(output, list | tuple) and output:
        maps = [*output[:-1], _with_last(output[-1], tap)]
        return maps if isinstance(output, list) else tuple(maps)
    if not isinstance(output, Tensor) or output.dim() < 4:
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"the layer returns {came}, expected feature maps (B, C, h, w): give another with "
            "layer="
        )
    return tap(output.flatten(1, -3)).view_as(output)
