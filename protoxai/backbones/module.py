"""Users' own networks as backbones."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from protoxai.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone
from protoxai.backbones.levels import Levels, choose_levels
from protoxai.runtime.modes import evaluating

_TRIAL_SIDES = (64, 224)


class ModuleBackbone(Backbone):
    """Any `nn.Module` that returns a map, a list or tuple of maps, or a dict of maps.

    Channels and reductions are determined by a dry run on one small blank image, in evaluation
    mode, which does not change the module. The attributes `mean`, `std` and `divisor` of the module
    describe the images it requires; by default these are normalised as those of ImageNet and of any
    size.

    Args:
        module: Network that takes images (B, 3, H, W) and returns maps (B, C_l, h_l, w_l).
        levels: Positions of the maps in the list or dict, or names in the dict; "pyramid" is
            every map with a reduction of at least `output_stride`; None is the last one.
        feature_channels: Channels of the chosen maps, if a dry run cannot determine them.
        output_stride: Reduction of the finest map of a pyramid.

    Raises:
        ValueError: If the dry run fails or the channels are not `feature_channels`, or a level
            does not exist.
        TypeError: If the module returns anything else than maps.

    Example:
        >>> backbone = ModuleBackbone(nn.Conv2d(3, 16, 3, stride=4, padding=1))
        >>> backbone.channels, backbone.reductions
        ((16,), (4,))
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        levels: Levels = None,
        feature_channels: int | Sequence[int] | None = None,
        output_stride: int = 8,
    ) -> None:
        given = _as_tuple(feature_channels)
        trial = _dry_run(module, required=given is None or levels == "pyramid")
        if trial is None:
            channels = given or ()
            reductions: tuple[int, ...] = ()
        else:
            output, side = trial
            names, maps = _named_maps(output)
            all_reductions = [max(1, round(side / features.shape[-2])) for features in maps]
            indices = choose_levels(levels, all_reductions, output_stride, names)
            levels = [names[i] for i in indices] if names else list(indices)
            channels = tuple(maps[i].shape[1] for i in indices)
            reductions = tuple(all_reductions[i] for i in indices)
            if given is not None and given != channels:
                raise ValueError(
                    f"feature_channels is {given}, but the module's maps have {channels} "
                    "channels: leave feature_channels out, or choose other levels"
                )
        super().__init__(
            channels=channels,
            reductions=reductions,
            mean=tuple(getattr(module, "mean", IMAGENET_MEAN)),
            std=tuple(getattr(module, "std", IMAGENET_STD)),
            divisor=int(getattr(module, "divisor", 1)),
        )
        self.module = module
        self.levels = levels

    def extract(self, images: Tensor) -> list[Tensor]:
        """Return the chosen maps, in the module's order."""
        names, maps = _named_maps(self.module(images))
        indices = choose_levels(self.levels, [0] * len(maps), 0, names)
        chosen = [maps[i] for i in indices]
        channels = tuple(features.shape[1] for features in chosen)
        if channels != self.channels:
            raise ValueError(
                f"the module's maps have {channels} channels, expected {self.channels}: give "
                "feature_channels and levels that match what it returns"
            )
        return chosen


def _as_tuple(feature_channels: int | Sequence[int] | None) -> tuple[int, ...] | None:
    if feature_channels is None or isinstance(feature_channels, Sequence):
        return None if feature_channels is None else tuple(feature_channels)
    return (feature_channels,)


def _dry_run(module: nn.Module, *, required: bool) -> tuple[Any, int] | None:
    """Return the output for a blank image and the image's side.

    Return None if the run fails and is not required.
    """
    example = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    failure: Exception | None = None
    for side in _TRIAL_SIDES:
        image = torch.zeros(1, 3, side, side, device=example.device, dtype=example.dtype)
        try:
            with evaluating(module), torch.no_grad():
                return module(image), side
        except Exception as error:  # the user's module may fail in any way
            failure = error
    if required:
        raise ValueError(
            f"the dry run of {type(module).__name__} on blank images of sides {_TRIAL_SIDES} "
            f"failed ({failure}): give feature_channels=<channels of the map>, and list the levels"
        ) from failure
    return None


def _named_maps(output: Any) -> tuple[list[str], list[Tensor]]:
    names: list[str] = []
    maps = [output] if isinstance(output, Tensor) else output
    if isinstance(output, dict):
        names, maps = [str(name) for name in output], list(output.values())
    if not isinstance(maps, (list, tuple)) or not maps:
        raise TypeError(
            f"the module returned a {type(output).__name__}, expected a map (B, C, h, w), or a "
            "list, tuple or dict of maps: wrap it in a module that returns those alone"
        )
    for features in maps:
        if not isinstance(features, Tensor) or features.ndim != 4:
            returned = tuple(features.shape) if isinstance(features, Tensor) else type(features)
            raise TypeError(
                f"the module returned {returned} among its maps, expected (B, C, h, w): reshape "
                "tokens to a grid and put the channels second"
            )
    return names, list(maps)
