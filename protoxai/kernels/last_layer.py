"""The last linear layer, in time linear in the classes where it weighs other classes alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from protoxai.kernels.gradients import placed
from protoxai.kernels.group import group_sums
from protoxai.kernels.tiles import in_graph, in_one_piece
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.precision import without_autocast

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
    """Return logits (B, C, *size) of the units' maps.

    Args:
        weight: (C, U), of the maps' type.
        maps: (B, U, *size).
        table: class of each unit.
    """
    if in_graph(maps):
        trained = weight.requires_grad and torch.is_grad_enabled()
        logits: Tensor = _classify_in_graph(weight, maps, *_units(table), trained)
        return logits
    return _classify(weight, maps, None if in_one_piece(maps) else uniform_layer(weight, table))


def uniform_layer(weight: Tensor, table: PrototypeTable) -> UniformLayer | None:
    """Return the layer's structure if it is uniform and that pays: not while it is trained."""
    if (
        len(weight) < MANY_CLASSES
        or weight.device.type != "cpu"
        or (weight.requires_grad and torch.is_grad_enabled())
    ):
        return None
    return _uniform(weight, *_units(table))


def _units(table: PrototypeTable) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return each unit's class, the K classes that have units, and their units and mask (K, M)."""
    classes = table.classes
    members, mask = (rows[classes] for rows in table.members("class"))
    return table.class_index, classes, members, mask


def _uniform(
    weight: Tensor, own_class: Tensor, classes: Tensor, members: Tensor, mask: Tensor
) -> UniformLayer | None:
    unit = torch.arange(len(own_class))
    others = weight[(own_class + 1) % len(weight), unit]
    own = weight[own_class, unit]
    alike = sum((rows == others).sum(0) for rows in weight.split(ROWS_AT_ONCE))
    if not bool((alike == len(weight) - (own != others).long()).all()):
        return None
    pairs = torch.stack([others[members], (own - others)[members]], 1)
    return UniformLayer(pairs.masked_fill(~mask[:, None], 0), classes, members, mask)


def _classify(weight: Tensor, maps: Tensor, uniform: UniformLayer | None) -> Tensor:
    # In a graph, len would make a number of a size that may change.
    batch, _, *size = maps.shape
    if uniform is None:
        # matmul would transpose a copy of the maps, to spare a weight for each image.
        logits = torch.bmm(weight.expand(batch, -1, -1), maps.flatten(2))
        return logits.view(batch, len(weight), *size)
    sums = group_sums(maps, uniform.pairs, uniform.members, uniform.mask)
    to_others, to_own = sums.unbind(2)
    logits = to_others.sum(1, keepdim=True).expand(-1, len(weight), *size)
    return logits.index_add(1, uniform.classes, to_own)


# --- in compiled graphs


@torch.library.custom_op("protoxai::class_logits", mutates_args=())
def _classify_in_graph(
    weight: Tensor,
    maps: Tensor,
    unit_class: Tensor,
    classes: Tensor,
    members: Tensor,
    mask: Tensor,
    trained: bool,
) -> Tensor:
    uniform = None
    with torch.no_grad(), without_autocast(maps):
        if len(weight) >= MANY_CLASSES and not trained:
            uniform = _uniform(weight, unit_class, classes, members, mask)
        if uniform is not None:
            return _classify(weight, maps, uniform)
        return _product(weight, maps)


@_classify_in_graph.register_fake
def _(weight: Tensor, maps: Tensor, *others: Any) -> Tensor:
    del others
    return maps.new_empty(maps.shape[0], weight.shape[0], *maps.shape[2:])


@torch.library.custom_op("protoxai::class_logits_backward", mutates_args=())
def _differentiate_in_graph(
    weight: Tensor | None, maps: Tensor | None, grad: Tensor
) -> list[Tensor]:
    """Return the gradient by the weight if there are maps, and by the maps if there is a weight."""
    found = []
    with without_autocast(grad):
        if maps is not None:
            found.append(torch.bmm(grad.flatten(2), maps.flatten(2).transpose(1, 2)).sum(0))
        if weight is not None:
            found.append(_product(weight.T, grad))
    return found


@_differentiate_in_graph.register_fake
def _(weight: Tensor | None, maps: Tensor | None, grad: Tensor) -> list[Tensor]:
    found = []
    if maps is not None:
        found.append(grad.new_empty(grad.shape[1], maps.shape[1]))
    if weight is not None:
        found.append(grad.new_empty(grad.shape[0], weight.shape[1], *grad.shape[2:]))
    return found


def _product(weight: Tensor, maps: Tensor) -> Tensor:
    """Multiply (C, U) with each pixel of (B, U, *size); the result is no view of another."""
    result = maps.new_empty(len(maps), len(weight), *maps.shape[2:])
    torch.bmm(weight.expand(len(maps), -1, -1), maps.flatten(2), out=result.flatten(2))
    return result


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    found = _differentiate_in_graph(*ctx.saved_tensors, grad)
    return *placed(found, ctx.needs_input_grad[:2]), *[None] * 5


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    weight, maps = inputs[:2]
    by_weight, by_maps = ctx.needs_input_grad[:2]
    ctx.save_for_backward(weight if by_maps else None, maps if by_weight else None)


_classify_in_graph.register_autograd(_gradients, setup_context=_remember)
