"""The last linear layer, in time linear in the classes where it weighs other classes alike."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from protoxai.grouping import group_sums
from protoxai.table import PrototypeTable

MANY_CLASSES = 64
ROWS_AT_ONCE = 16


class UniformLayer(NamedTuple):
    """A last layer whose units (prototypes or groups) weigh all classes but their own alike.

    A logit is then a sum over all units, the same for every class, plus one over the class's own:
    no product of all classes and units. So is every last layer before it has been trained.

    Attributes:
        pairs: (K, 2, M), for each class with units and each unit of it the weight for the other
            classes, and how much more it weighs for its own; 0 where padded.
        classes: numbers of the K classes, int64.
        members: units of each class (K, M), 0 where padded.
        mask: True (K, M) where there is a unit.
    """

    pairs: Tensor
    classes: Tensor
    members: Tensor
    mask: Tensor


def class_logits(weight: Tensor, maps: Tensor, table: PrototypeTable) -> Tensor:
    """Return logits (B, C, n) of the units' maps.

    Args:
        weight: (C, U), of the maps' type.
        maps: (B, U, n).
        table: class of each unit.
    """
    uniform = uniform_layer(weight, table)
    if uniform is None:
        # matmul would transpose a copy of the maps, to spare a weight for each image.
        return torch.bmm(weight.expand(len(maps), -1, -1), maps)
    to_others, to_own = group_sums(maps, uniform.pairs, uniform.members, uniform.mask).unbind(2)
    logits = to_others.sum(1, keepdim=True).expand(-1, len(weight), -1)
    return logits.index_add(1, uniform.classes, to_own)


def uniform_layer(weight: Tensor, table: PrototypeTable) -> UniformLayer | None:
    """Return the layer's structure if it is uniform and that pays: not while it is trained."""
    if (
        len(weight) < MANY_CLASSES
        or weight.device.type != "cpu"
        or torch.compiler.is_compiling()
        or (weight.requires_grad and torch.is_grad_enabled())
    ):
        return None
    own_class, unit = table.class_index, torch.arange(len(table))
    others = weight[(own_class + 1) % len(weight), unit]
    own = weight[own_class, unit]
    alike = sum((rows == others).sum(0) for rows in weight.split(ROWS_AT_ONCE))
    if not bool((alike == len(weight) - (own != others).long()).all()):
        return None
    classes = table.classes
    members, mask = (rows[classes] for rows in table.members("class"))
    pairs = torch.stack([others[members], (own - others)[members]], 1)
    return UniformLayer(pairs.masked_fill(~mask[:, None], 0), classes, members, mask)
