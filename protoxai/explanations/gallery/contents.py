"""What a gallery shows: classes, their groups, and how they use the scales."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.metrics.prototype.group_overlap import group_overlap
from protoxai.metrics.prototype.group_scale_diversity import group_scale_diversity
from protoxai.metrics.prototype.prototype_redundancy import prototype_redundancy
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.prototypes.layer import MultiScalePrototypeLayer


@dataclass(frozen=True)
class Composition:
    """What a group is made of.

    Attributes:
        number: Number of the group within its class, from 1.
        members: Index and weight of each prototype with a weight, by scale, then by falling weight.
        scale_mass: Share of the group's weight on each scale.
    """

    number: int
    members: tuple[tuple[int, float], ...]
    scale_mass: tuple[float, ...]


@dataclass(frozen=True)
class ClassContents:
    """The prototypes of a class.

    Attributes:
        class_index: Index of the class.
        name: Name of the class.
        prototypes: Number of its prototypes.
        by_scale: Indices of the prototypes in use on each scale.
        groups: Its groups (stage 2).
        scale_mass: Mean over its groups with weight of the share of that weight on each scale; in
            stage 1 the share of its prototypes. NaN for a class without prototypes in use.
        overlap: Share of their weight that its groups have on the same prototypes
            (:func:`~protoxai.metrics.group_overlap`); NaN without a pair of groups.
        redundancy: Share of the pairs of its prototypes in use on one scale that are nearly equal
            (:func:`~protoxai.metrics.prototype_redundancy`); NaN without a pair.
    """

    class_index: int
    name: str
    prototypes: int
    by_scale: tuple[tuple[int, ...], ...]
    groups: tuple[Composition, ...]
    scale_mass: tuple[float, ...]
    overlap: float
    redundancy: float

    @property
    def in_use(self) -> tuple[int, ...]:
        """Indices of the prototypes in use, by scale."""
        return tuple(index for scale in self.by_scale for index in scale)


def contents_of(model: ScaleProtoSeg) -> tuple[ClassContents, ...]:
    """Return the contents of each class.

    Args:
        model: Model in either stage.
    """
    table = model.table.to("cpu")
    active = _in_use(model)
    names = model.class_names or tuple(f"class {c}" for c in range(model.num_classes))
    overlap = torch.full((model.num_classes,), torch.nan)
    groups: dict[int, tuple[Composition, ...]] = {}
    if isinstance(model.head, SparseGroupHead):
        overlap = group_overlap(model.head).overlap
        groups = _compositions(model.head)
    layer = copy.deepcopy(model.prototype_layer).cpu()
    found = []
    for class_index, name in enumerate(names):
        own = table.class_index == class_index
        by_scale = tuple(
            tuple((own & active & (table.scale_index == s)).nonzero().flatten().tolist())
            for s in range(table.num_scales)
        )
        own_groups = groups.get(class_index, ())
        found.append(
            ClassContents(
                class_index,
                name,
                int(own.sum()),
                by_scale,
                own_groups,
                _scale_mass(by_scale, own_groups),
                float(overlap[class_index]),
                _redundancy(layer, (own & active).nonzero().flatten()),
            )
        )
    return tuple(found)


def _in_use(model: ScaleProtoSeg) -> Tensor:
    """Return which prototypes the head uses, bool (P,), without decoding their pictures."""
    if not isinstance(model.head, SparseGroupHead):
        return torch.ones(len(model.table), dtype=torch.bool)
    return (model.head.group_weights().detach() > 0).any(0).cpu()


def _compositions(head: SparseGroupHead) -> dict[int, tuple[Composition, ...]]:
    mass = group_scale_diversity(head).mass.cpu()
    scales = head.table.scale_index.cpu()
    group_class = head.group_class.cpu()
    found = {}
    for class_index in head.classes.tolist():
        prototypes = (head.table.class_index.cpu() == class_index).nonzero().flatten()
        rows = (group_class == class_index).nonzero().flatten().tolist()
        weights = head.group_weights(class_index).detach().cpu()
        found[class_index] = tuple(
            Composition(number, _members(prototypes, weight, scales), tuple(mass[row].tolist()))
            for number, (row, weight) in enumerate(zip(rows, weights, strict=True), 1)
        )
    return found


def _members(prototypes: Tensor, weights: Tensor, scales: Tensor) -> tuple[tuple[int, float], ...]:
    pairs = [
        (index, weight)
        for index, weight in zip(prototypes.tolist(), weights.tolist(), strict=True)
        if weight > 0
    ]
    return tuple(sorted(pairs, key=lambda pair: (int(scales[pair[0]]), -pair[1])))


def _scale_mass(
    by_scale: tuple[tuple[int, ...], ...], groups: tuple[Composition, ...]
) -> tuple[float, ...]:
    """Return the mean mass of the groups with weight, or the share of the prototypes in use."""
    masses = [group.scale_mass for group in groups if group.members]
    if masses:
        return tuple(sum(column) / len(masses) for column in zip(*masses, strict=True))
    total = sum(map(len, by_scale))
    return tuple(len(scale) / total if total else math.nan for scale in by_scale)


def _redundancy(layer: MultiScalePrototypeLayer, index: Tensor) -> float:
    if not len(index):
        return math.nan
    own = copy.deepcopy(layer)
    own.keep(index)
    return float(prototype_redundancy(own))
