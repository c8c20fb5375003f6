"""Prototypes as plain data: class, scale, groups, provenance and picture of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from protoxai.prototypes.patches import Patch
from protoxai.prototypes.provenance import Box, Provenance
from protoxai.prototypes.table import PrototypeTable


@dataclass(frozen=True, eq=False)
class Prototype:
    """One prototype of a model, as plain data.

    Boxes are (top, left, bottom, right) in pixels of ``patch``, ends exclusive.

    Attributes:
        index: Index of the prototype in the model.
        class_index: Class of the prototype.
        class_name: Name of the class.
        scale: Scale of the prototype, from 0.
        group_weights: Weight in each group that uses the prototype, by the group's index (stage 2);
            empty in stage 1.
        first_group: Index of the first group of the class; None in stage 1.
        active: Whether the head uses the prototype: always in stage 1, in stage 2 if some group
            does.
        provenance: Training patch that the prototype is; None before the projection.
        patch: Picture of the active region and its surroundings, uint8 (h, w, 3); None if no
            picture was kept.
        box: Box of the active region; None without a picture.
        cell: Box of the feature pixel that the prototype is; None without a picture.
        activation: Activation of the prototype itself, float32 (h, w), as a share of its highest
            possible activation, in [0, 1]; None without a picture.
    """

    index: int
    class_index: int
    class_name: str
    scale: int
    group_weights: Mapping[int, float]
    first_group: int | None
    active: bool
    provenance: Provenance | None
    patch: NDArray[np.uint8] | None
    box: Box | None
    cell: Box | None
    activation: NDArray[np.float32] | None

    @property
    def groups(self) -> dict[int, float]:
        """Weight in each group that uses the prototype, by the group's number in its class."""
        first = self.first_group or 0
        return {index - first + 1: weight for index, weight in self.group_weights.items()}


class GroupWeights(NamedTuple):
    """Weights of all prototypes in the groups of their class.

    Attributes:
        weights: Weight of each prototype in each group of its class, (P, G).
        first_group: Index of the first group of each prototype's class, int64 (P,).
    """

    weights: Tensor
    first_group: Tensor


class Prototypes(Sequence[Prototype]):
    """The prototypes of a model, each put together (and its picture decoded) when it is accessed.

    Args:
        table: Class and scale of each prototype.
        class_names: Names of the classes; None for their numbers.
        group_weights: Weights of the prototypes in groups; None in stage 1.
        provenance: Provenance of each prototype; None before the projection.
        patches: Patch of each prototype; None if none was kept.

    Raises:
        ValueError: If a picture is damaged, when its prototype is accessed.

    Example:
        >>> table = PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=4)
        >>> prototypes = Prototypes(table, ("sky", "road"))
        >>> len(prototypes), prototypes[-1].class_name, prototypes[-1].scale, prototypes[-1].patch
        (24, 'road', 2, None)
    """

    def __init__(
        self,
        table: PrototypeTable,
        class_names: Sequence[str] | None = None,
        group_weights: GroupWeights | None = None,
        provenance: Sequence[Provenance] | None = None,
        patches: Sequence[Patch | None] | None = None,
    ) -> None:
        self._classes = table.class_index.tolist()
        self._scales = table.scale_index.tolist()
        self._class_names = class_names
        self._group_weights = group_weights
        self._provenance = provenance
        self._patches = patches

    def __len__(self) -> int:
        """Return the number of prototypes."""
        return len(self._classes)

    @overload
    def __getitem__(self, index: int) -> Prototype: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Prototype, ...]: ...
    def __getitem__(self, index: int | slice) -> Prototype | tuple[Prototype, ...]:
        """Return one prototype, or a tuple of several."""
        chosen = range(len(self))[index]
        if isinstance(chosen, range):
            return tuple(map(self._prototype, chosen))
        return self._prototype(chosen)

    def __iter__(self) -> Iterator[Prototype]:
        """Iterate over the prototypes."""
        return map(self._prototype, range(len(self)))

    def __repr__(self) -> str:
        """Return the number of prototypes and of those with a picture."""
        pictures = sum(patch is not None for patch in self._patches or ())
        return f"Prototypes({len(self)} prototypes, {pictures} with a picture)"

    def _prototype(self, index: int) -> Prototype:
        class_index = self._classes[index]
        weights = self._weights_of(index)
        entry = self._provenance[index] if self._provenance else None
        patch = self._patches[index] if self._patches else None
        return Prototype(
            index=index,
            class_index=class_index,
            class_name=self._class_names[class_index]
            if self._class_names
            else f"class {class_index}",
            scale=self._scales[index],
            group_weights=weights,
            first_group=self._first_group_of(index),
            active=self._group_weights is None or len(weights) > 0,
            provenance=entry,
            patch=None if patch is None else self._picture(patch, index),
            box=_within(patch, entry.active_region if entry else None),
            cell=_within(patch, entry.patch if entry else None),
            activation=None if patch is None else patch.activation_map(),
        )

    def _weights_of(self, index: int) -> dict[int, float]:
        if self._group_weights is None:
            return {}
        first = self._first_group_of(index) or 0
        row = self._group_weights.weights[index].tolist()
        return {first + group: weight for group, weight in enumerate(row) if weight > 0}

    def _first_group_of(self, index: int) -> int | None:
        known = self._group_weights
        return None if known is None else int(known.first_group[index])

    def _picture(self, patch: Patch, index: int) -> NDArray[np.uint8]:
        try:
            return patch.picture()
        except ValueError as error:
            raise ValueError(f"prototype {index}: {error}") from error


def _within(patch: Patch | None, box: Box | None) -> Box | None:
    return None if patch is None or box is None else patch.within(box)
