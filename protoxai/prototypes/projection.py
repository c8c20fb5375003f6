"""What a projection keeps of the prototypes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from protoxai.prototypes.patches import Patch, check_patches
from protoxai.prototypes.provenance import Provenance
from protoxai.runtime.checks import instance
from protoxai.runtime.tensors import tensor

MOVED = 0.01
"""Change of a prototype, as a share of its length, beyond the rounding of every dtype."""


@dataclass(frozen=True, eq=False)
class Projection:
    """What a projection keeps of a model's prototypes.

    Attributes:
        vectors: The prototypes right after the projection, float32 (P, D), on the CPU.
        provenance: Training patch behind each prototype.
        patches: Picture of each prototype's surroundings, None for a prototype without; None if no
            pictures were kept.
        class_distances: Squared distances from n training pixels of each prototype's class to the
            projected prototype, float32 (P, n), on the CPU. A column is the same pixel for all
            prototypes of a class; the values are NaN where a class has fewer pixels. None if they
            were not kept.

    Raises:
        TypeError: If an entry is of another type.
        ValueError: If there is not one entry per prototype, or a picture does not fit its
            provenance.
    """

    vectors: Tensor
    provenance: tuple[Provenance, ...]
    patches: tuple[Patch | None, ...] | None = None
    class_distances: Tensor | None = None

    def __post_init__(self) -> None:
        """Check that all parts are of the same prototypes."""
        count = len(self.vectors)
        if len(self.provenance) != count:
            raise ValueError(
                f"provenance has {len(self.provenance)} entries, expected one per prototype: "
                f"{count}"
            )
        for entry in self.provenance:
            instance("provenance", entry, Provenance, "project_prototypes sets it")
        check_patches(self.patches, self.provenance)
        if self.class_distances is not None:
            sizes = {"prototypes": count}
            tensor("class_distances", self.class_distances, "prototypes pixels", sizes=sizes)

    @classmethod
    def of(
        cls,
        prototypes: Tensor,
        provenance: tuple[Provenance, ...],
        patches: tuple[Patch | None, ...] | None = None,
        class_distances: Tensor | None = None,
    ) -> Self:
        """Return the projection whose prototypes (P, D) are those that a model has now."""
        return cls(_plain(prototypes).clone(), provenance, patches, class_distances)

    def moved(self, prototypes: Tensor) -> Tensor:
        """Return which prototypes have changed by more than 1 % of their length since, bool (P,).

        Args:
            prototypes: The model's prototypes (P, D) of now, of any dtype, on any device.
        """
        if prototypes.is_meta:
            return torch.zeros(len(prototypes), dtype=torch.bool)
        if prototypes.shape != self.vectors.shape:
            return torch.ones(len(prototypes), dtype=torch.bool)
        change = (_plain(prototypes) - self.vectors).norm(dim=1)
        unmoved: Tensor = change <= MOVED * self.vectors.norm(dim=1)
        return ~unmoved

    def keep(self, index: Tensor) -> Projection:
        """Return the projection of some of the prototypes, whose indices are given."""
        index = index.to("cpu")
        rows = index.tolist()
        return replace(
            self,
            vectors=self.vectors[index],
            provenance=tuple(self.provenance[i] for i in rows),
            patches=None if self.patches is None else tuple(self.patches[i] for i in rows),
            class_distances=None if self.class_distances is None else self.class_distances[index],
        )


def _plain(prototypes: Tensor) -> Tensor:
    return prototypes.detach().to("cpu", torch.float32)
