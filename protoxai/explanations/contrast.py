"""Contrast: why a region is one class and not another, prototype by prototype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from protoxai.explanations.region_values import RegionValues
from protoxai.prototypes.provenance import Provenance
from protoxai.prototypes.table import PrototypeTable

LISTED = 10
"""Number of prototypes in the text of a contrast."""


@dataclass(frozen=True)
class PrototypeContrast:
    """Evidence of one prototype for a class against another, averaged over a region.

    Attributes:
        prototype: Index of the prototype.
        class_index: Class of the prototype.
        scale: Scale of the prototype.
        activation: Activation of the prototype, averaged over the cells of the region's pixels.
        for_this: Evidence for the class in question.
        for_other: Evidence for the other class.
        difference: ``for_this - for_other``: positive where it speaks for the class in question.
        provenance: Training patch that the prototype shows, if the model was projected.
    """

    prototype: int
    class_index: int
    scale: int
    activation: float
    for_this: float
    for_other: float
    difference: float
    provenance: Provenance | None


@dataclass(frozen=True, eq=False)
class Contrast:
    """Why a region is one class and not another: the exact difference of the two logits.

    The difference is ``baseline`` plus the differences of all prototypes. What the prototypes do
    for both classes alike cancels, and so do the baselines but for their difference.

    Attributes:
        this: The class in question.
        other: The class that it is compared with.
        this_name: Name of the class in question.
        other_name: Name of the other class.
        region: Pixels of the region, bool (H, W).
        this_logit: Logit of the class in question, averaged over the region.
        other_logit: Logit of the other class, averaged over the region.
        difference: ``this_logit - other_logit``.
        baseline: Difference of the logits where no prototype is active.
        prototypes: Prototypes whose evidence differs, by decreasing size of the difference.
    """

    this: int
    other: int
    this_name: str
    other_name: str
    region: Tensor
    this_logit: float
    other_logit: float
    difference: float
    baseline: float
    prototypes: tuple[PrototypeContrast, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain values, for JSON, without the mask of the region."""
        entries = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del entries["region"]
        return {**entries, "prototypes": [asdict(each) for each in self.prototypes]}

    def __str__(self) -> str:
        share = float(self.region.double().mean())
        names = f"{self.this_name} rather than {self.other_name} over {share:.1%} of the image"
        logits = f"{self.this_logit:.2f} - {self.other_logit:.2f} = {self.difference:+.2f}"
        lines = [f"{names}: logit {logits}", f"  without any prototype: {self.baseline:+.2f}"]
        lines += [
            f"  prototype {p.prototype} (scale {p.scale + 1}): {p.difference:+.2f} "
            f"({p.for_this:+.2f} for {self.this_name}, {p.for_other:+.2f} for {self.other_name})"
            for p in self.prototypes[:LISTED]
        ]
        if len(self.prototypes) > LISTED:
            rest = sum(each.difference for each in self.prototypes[LISTED:])
            lines.append(f"  {len(self.prototypes) - LISTED} more: {rest:+.2f}")
        return "\n".join(lines)


def prototype_contrasts(
    table: PrototypeTable,
    values: RegionValues,
    this: int,
    other: int,
    provenance: Sequence[Provenance] | None,
) -> tuple[PrototypeContrast, ...]:
    """Return the prototypes whose evidence differs, by decreasing size of the difference.

    Args:
        table: Class and scale of each prototype.
        values: Values over the region.
        this: The class in question.
        other: The class that it is compared with.
        provenance: Provenance of each prototype, if the model was projected.
    """
    classes, scales = table.class_index, table.scale_index
    pair = values.prototypes(this), values.prototypes(other)
    difference = pair[0] - pair[1]
    strongest = difference.abs().argsort(descending=True, stable=True)
    return tuple(
        PrototypeContrast(
            prototype=p,
            class_index=int(classes[p]),
            scale=int(scales[p]),
            activation=float(values.activations[p]),
            for_this=float(pair[0][p]),
            for_other=float(pair[1][p]),
            difference=float(difference[p]),
            provenance=provenance[p] if provenance else None,
        )
        for p in strongest[difference[strongest] != 0].tolist()
    )


def runner_up(logits: Tensor, this: int) -> int:
    """Return the class with the highest logit among all but one.

    Args:
        logits: Logits (C,).
        this: The class to leave out.

    Raises:
        ValueError: If there is no other class.
    """
    if len(logits) < 2:
        raise ValueError("other is None, expected a second class, but the model has only one")
    others = logits.clone()
    others[this] = -torch.inf
    return int(others.argmax())
