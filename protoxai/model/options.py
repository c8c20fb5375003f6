"""Options of the trunk, the same for every model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from torch import nn

from protoxai.scales import AtrousScales, PyramidScales

SCALES = ("atrous", "atrous-sum", "pyramid")


class TrunkOptions(TypedDict, total=False):
    """Options of the trunk, the same for every model.

    Attributes:
        input_scales: factors (such as 0.5, 0.75) at which the image is seen beside 1.
        output_stride: image pixels per feature pixel, where the backbone's architecture can.
        feature_levels: which of the backbone's feature levels to use; None: the deepest, or for
            "pyramid" all from ``output_stride`` on.
        atrous_rates: dilations of the atrous branches.
        init_gain: see :class:`~protoxai.AtrousScales`.
        freeze_batchnorm: keep the backbone's batch normalisation in evaluation mode, untrained.
        pretrained: True (hub), False, or a local file of weights.
        feature_channels: channels of the own module's maps; None: found by a dry run.
        class_names: names of the classes, for figures and reports.
    """

    input_scales: Sequence[float]
    output_stride: int
    feature_levels: Sequence[int] | None
    atrous_rates: Sequence[int]
    init_gain: float | None
    freeze_batchnorm: bool
    pretrained: bool | str | Path
    feature_channels: int | Sequence[int] | None
    class_names: Sequence[str] | None


DEFAULTS = TrunkOptions(
    input_scales=(),
    output_stride=8,
    feature_levels=None,
    atrous_rates=(6, 12, 18, 24),
    init_gain=None,
    freeze_batchnorm=False,
    pretrained=True,
    feature_channels=None,
    class_names=None,
)


def build_scales(
    scales: str | nn.Module, channels: Sequence[int], dim: int, options: TrunkOptions
) -> nn.Module:
    """Return the scales module that the options describe, or the user's own after a check."""
    if isinstance(scales, nn.Module):
        for attribute in ("num_scales", "dim"):
            if not isinstance(getattr(scales, attribute, None), int):
                raise ValueError(
                    f"the scales module {type(scales).__name__} has no whole number `{attribute}`: "
                    "set num_scales (S) and dim (D), and return (B, S, D, h, w)"
                )
        if scales.dim != dim:
            raise ValueError(f"the scales module has dim {scales.dim}, expected {dim}")
        return scales
    gain = options["init_gain"]
    if scales == "pyramid":
        return PyramidScales(channels, dim, gain)
    if scales not in SCALES:
        raise ValueError(f"scales is {scales!r}, expected one of {SCALES} or a module")
    return AtrousScales(channels[-1], dim, options["atrous_rates"], scales == "atrous-sum", gain)


def check_input_scales(factors: Sequence[float]) -> tuple[float, ...]:
    """Return the input scales, or raise ``ValueError``."""
    if not isinstance(factors, Sequence) or not all(map(_is_input_scale, factors)):
        raise ValueError(
            f"input_scales are {factors}, expected positive factors other than 1 (the full "
            "image is always seen), such as (0.5, 0.75)"
        )
    return tuple(factors)


def _is_input_scale(factor: object) -> bool:
    return isinstance(factor, int | float) and factor > 0 and factor != 1


def plain(value: object) -> object:
    """Return a value that JSON can hold."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
