"""Explanation of a region of an image: its class, from groups, from prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from protoxai.explanations.region_values import RegionValues
from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead
from protoxai.prototypes.provenance import Provenance


@dataclass(frozen=True)
class PrototypeEvidence:
    """Evidence of one prototype for a region's class.

    Attributes:
        prototype: Index of the prototype.
        scale: Scale of the prototype.
        evidence: Contribution to the logit, averaged over the region.
        weight: Weight of the prototype in the group (1 in stage 1).
        activation: Activation of the prototype, averaged over the cells of the region's pixels.
        provenance: Training patch that the prototype shows, if the model was projected.
    """

    prototype: int
    scale: int
    evidence: float
    weight: float
    activation: float
    provenance: Provenance | None


@dataclass(frozen=True)
class GroupEvidence:
    """Evidence of one group for a region's class. In stage 1 each prototype is its own group.

    Attributes:
        group: Index of the group.
        number: Number of the group within its class, from 1.
        evidence: Contribution to the logit, averaged over the region.
        prototypes: Prototypes with a weight in the group, by decreasing evidence; their evidence
            sums to the group's.
    """

    group: int
    number: int
    evidence: float
    prototypes: tuple[PrototypeEvidence, ...]


@dataclass(frozen=True, eq=False)
class RegionExplanation:
    """Explanation of one class over a region: the pixels predicted as it, or any others.

    Attributes:
        class_index: Index of the class.
        class_name: Name of the class.
        region: Pixels of the region, bool (H, W).
        logit: Logit of the class, averaged over the region: ``baseline`` plus all evidence.
        baseline: Logit where no prototype is active, which no group is credited with.
        groups: Groups of the class, by decreasing evidence.
        other_evidence: Sum of the evidence of all groups of other classes (mostly negative).
    """

    class_index: int
    class_name: str
    region: Tensor
    logit: float
    baseline: float
    groups: tuple[GroupEvidence, ...]
    other_evidence: float

    @property
    def pixels(self) -> int:
        """Number of pixels of the region."""
        return int(self.region.sum())

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain values, for JSON, with the region's box instead of a mask."""
        rows, cols = (self.region.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        return {
            "class_index": self.class_index,
            "class_name": self.class_name,
            "pixels": self.pixels,
            "box": [rows[0], cols[0], rows[-1] + 1, cols[-1] + 1],
            "logit": self.logit,
            "baseline": self.baseline,
            "other_evidence": self.other_evidence,
            "groups": [asdict(group) for group in self.groups],
        }

    def __str__(self) -> str:
        share = float(self.region.double().mean())
        own = sum(group.evidence for group in self.groups)
        parts = f"{self.baseline:.2f} base {own:+.2f} own {self.other_evidence:+.2f} others"
        lines = [f"{self.class_name}: {share:.1%} of the image, logit {self.logit:.2f} = {parts}"]
        for group in self.groups:
            members = ", ".join(
                f"#{p.prototype} (scale {p.scale + 1}, {p.evidence:+.2f})" for p in group.prototypes
            )
            lines.append(f"  group {group.number}: {group.evidence:+.2f} from {members}")
        return "\n".join(lines)


def class_groups(
    head: PrototypeHead | SparseGroupHead,
    values: RegionValues,
    class_index: int,
    provenance: Sequence[Provenance] | None,
) -> tuple[tuple[GroupEvidence, ...], float]:
    """Return the groups of a class by decreasing evidence, and the evidence of all others' groups.

    Args:
        head: Head of the model, on the CPU.
        values: Values over the region.
        class_index: The class.
        provenance: Provenance of each prototype, if the model was projected.
    """
    units = values.units(class_index)
    own_units = head.unit_class.cpu() == class_index
    prototypes = (head.table.class_index == class_index).nonzero().flatten()
    if isinstance(head, SparseGroupHead):
        weights = head.group_weights(class_index).detach()
    else:
        weights = torch.eye(len(prototypes))
    scales, activations = head.table.scale_index[prototypes], values.activations[prototypes]
    groups = []
    own = zip(
        own_units.nonzero().flatten().tolist(), weights, values.members(class_index), strict=True
    )
    for group_number, (unit, row, shares) in enumerate(own, 1):
        members = [
            PrototypeEvidence(p, s, e, w, a, provenance[p] if provenance else None)
            for p, s, e, w, a in zip(
                *(each.tolist() for each in (prototypes, scales, shares, row, activations)),
                strict=True,
            )
            if w > 0
        ]
        members.sort(key=lambda member: -member.evidence)
        groups.append(GroupEvidence(unit, group_number, float(units[unit]), tuple(members)))
    groups.sort(key=lambda group: -group.evidence)
    return tuple(groups), float(units[~own_units].sum())
