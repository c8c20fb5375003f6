"""The configuration of a model: its options and arguments, as a model folder stores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protoxai.model.option_values import plain_value
from protoxai.model.options import NOT_SAVED, TrunkOptions, options_of
from protoxai.runtime.checks import Range, did_you_mean, shown, whole

# What a folder stores besides the options.
ARGUMENTS = ("backbone", "num_classes", "scales")
NUM_CLASSES = Range(least=1, most=100_000)
DEFAULTS_OF_0_1_0: dict[str, Any] = {
    "prototypes_per_scale": 3,
    "prototype_dim": 64,
    "epsilon": 1e-4,
    "bounded_prototypes": False,
    "off_class": -0.5,
    "last_layer": "dense",
    "input_scales": (),
    "output_stride": 8,
    "feature_levels": None,
    "atrous_rates": (6, 12, 18, 24),
    "init_gain": None,
    "freeze_batchnorm": False,
    "feature_channels": None,
    "class_names": None,
}


def to_config(options: TrunkOptions) -> dict[str, Any]:
    """Return the options that are stored with a model, as JSON can hold them."""
    return {
        name: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in options.items()
        if name not in NOT_SAVED
    }


def check_config(kind: type, config: Mapping[str, Any], *, number: int) -> dict[str, Any]:
    """Return the options and arguments in a model folder's configuration, as plain values.

    Args:
        kind: The typed dictionary that declares the model's options.
        config: Content of ``config.json``.
        number: Number of the folder's format. In format 1, options that the version of the folder
            did not know have the defaults of 0.1.0.

    Raises:
        TypeError: If a value has another type.
        ValueError: If a key is missing or unknown, or a value is out of its range.
    """
    stored = {name: option for name, option in options_of(kind).items() if name not in NOT_SAVED}
    if number == 1:
        defaults = {name: value for name, value in DEFAULTS_OF_0_1_0.items() if name in stored}
        config = {**defaults, **config}
    expected = (*ARGUMENTS, *stored)
    for key in config:
        if key not in expected:
            raise ValueError(f"there is no key {shown(key)}{did_you_mean(key, expected)}")
    for key in expected:
        if key not in config:
            raise ValueError(f"{key} is missing")
    values = {
        name: plain_value(name, config[name], option.type, option.range)
        for name, option in stored.items()
    }
    values["num_classes"] = whole("num_classes", config["num_classes"], NUM_CLASSES)
    for name in ("backbone", "scales"):
        values[name] = plain_value(name, config[name], str | None)
    return values
