"""The structure of a prototype model, which determines the shapes of its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from protoxai.heads.linear import UnitHead
from protoxai.model.config import NUM_CLASSES
from protoxai.model.option_values import plain_value
from protoxai.model.state_dicts import EXTRA_STATE
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.checks import NOT_NEGATIVE, Range, shown

PROTOTYPES = "prototype_layer.prototypes"
# Beginnings of the names of all tensors whose shapes the structure determines.
STRUCTURED = (PROTOTYPES, "head.")
# Type and range of each value of a table; larger ones are damage that would fill the memory.
TABLE: dict[str, tuple[Any, Range]] = {
    "class_index": (Sequence[int], NOT_NEGATIVE),
    "scale_index": (Sequence[int], NOT_NEGATIVE),
    "num_classes": (int, NUM_CLASSES),
    "num_scales": (int, Range(least=1, most=1000)),
}
NUM_GROUPS = Range(least=1, most=1000)


def check_structure(structure: Any) -> tuple[PrototypeTable, int | None]:
    """Return the table and the number of groups in a structure.

    Args:
        structure: Plain values from :meth:`~protoxai.ScaleProtoSeg.structure`.

    Raises:
        TypeError: If a value has another type.
        ValueError: If a key is missing or unknown, or a value is out of its range.
    """
    _check_keys("structure", structure, ("table", "num_groups"))
    table, num_groups = structure["table"], structure["num_groups"]
    _check_keys("structure.table", table, TABLE)
    values = {
        name: plain_value(f"structure.table.{name}", table[name], hint, expected)
        for name, (hint, expected) in TABLE.items()
    }
    groups = plain_value("structure.num_groups", num_groups, int | None, NUM_GROUPS)
    return PrototypeTable(**values), groups


def check_parts(head: UnitHead, table: PrototypeTable, last_layer: str) -> None:
    """Raise an error if a head that was replaced does not fit the model.

    Args:
        head: Head of the model.
        table: Table of the model.
        last_layer: Kind of the last layer that the model was built with.

    Raises:
        ValueError: If the head is of another table or kind.
    """
    if getattr(head, "table", None) != table or head.last_layer != last_layer:
        raise ValueError(
            f"head is {shown(head)}, expected one of the model's table, with last_layer="
            f"{last_layer!r}: enter stage 2 with model.group()"
        )


def encode_structure(structure: Mapping[str, Any]) -> Tensor:
    """Return a structure as a tensor, which every checkpoint can hold."""
    table = structure["table"]
    sizes = [table["num_classes"], table["num_scales"], structure["num_groups"] or 0]
    return torch.tensor([*sizes, *table["class_index"], *table["scale_index"]])


def decode_structure(encoded: Any) -> dict[str, Any]:
    """Return the structure behind :func:`encode_structure`, as plain values.

    Raises:
        ValueError: If it is no such tensor.
    """
    is_list = isinstance(encoded, Tensor) and encoded.dtype == torch.int64 and encoded.dim() == 1
    if not is_list or len(encoded) < 5 or len(encoded) % 2 != 1:
        raise ValueError(
            f"the state dict's {EXTRA_STATE} is a {type(encoded).__name__} of other content, "
            "expected the structure of a ScaleProtoSeg: save the model again"
        )
    num_classes, num_scales, num_groups, *indices = encoded.tolist()
    half = len(indices) // 2
    return {
        "table": {
            "class_index": indices[:half],
            "scale_index": indices[half:],
            "num_classes": num_classes,
            "num_scales": num_scales,
        },
        "num_groups": num_groups or None,
    }


def find_structure(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the structure in a state dict, or the values themselves if they are one.

    Args:
        values: Structure, or state dict of a model, wrapped or as part of another module.

    Raises:
        TypeError: If the values are no mapping.
        ValueError: If there is none.
    """
    if not isinstance(values, Mapping):
        raise TypeError(
            f"structure is {shown(values)}, expected the result of model.structure() or the state "
            "dict of a ScaleProtoSeg"
        )
    if "table" in values:
        return values
    for name, value in values.items():
        # Other modules may have extra state too; a model's lies beside its prototypes.
        beside = f"{name.removesuffix(EXTRA_STATE)}prototype_layer.prototypes"
        if name.endswith(EXTRA_STATE) and beside in values:
            return decode_structure(value)
    raise ValueError(
        f"found no structure among {shown(list(values))}, expected the result of "
        "model.structure() or the state dict of a ScaleProtoSeg"
    )


def adopt_structure(
    state: dict[str, Any], prefix: str, structure: dict[str, Any], own: Mapping[str, Tensor]
) -> None:
    """Check that a state dict is of a model's structure, and add it where it is missing.

    Args:
        state: State dict, perhaps of more than the model.
        prefix: Prefix of the model's names in it.
        structure: Structure of the model.
        own: State dict of the model.

    Raises:
        ValueError: If the structure is another one.
    """
    key = prefix + EXTRA_STATE
    if key in state:
        fits = decode_structure(state[key]) == structure
    else:
        # The weights of 0.1.0 have no structure, only its shapes.
        fits = all(
            state[prefix + name].shape == value.shape
            for name, value in own.items()
            if name.startswith(STRUCTURED) and prefix + name in state
        )
        state[key] = encode_structure(structure)
    if not fits:
        raise ValueError(
            "the weights are of a model with other prototypes or groups (pruned by the projection, "
            "or in stage 2): call model.restructure(state_dict) or "
            "model.restructure(other.structure()) before load_state_dict, and before the optimizer "
            "is created; save_pretrained and from_pretrained do so themselves"
        )


def _check_keys(name: str, values: object, expected: Iterable[str]) -> None:
    if not isinstance(values, Mapping) or set(values) != set(expected):
        raise ValueError(f"{name} is {shown(values)}, expected the keys {', '.join(expected)}")
