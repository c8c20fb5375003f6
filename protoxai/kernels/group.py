"""Weighted sums of each class's own activations, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any

import torch
from torch import Tensor

from protoxai.kernels.gradients import placed, plain_gradients, shaped
from protoxai.kernels.tiles import Tiling, in_graph, in_one_piece
from protoxai.runtime.precision import without_autocast


def group_sums(activations: Tensor, weights: Tensor, members: Tensor, mask: Tensor) -> Tensor:
    """Return ``w . g`` of every group (B, K, G, *size).

    Args:
        activations: (B, P, *size), float32 or wider.
        weights: (K, G, M), of the same type, 0 where padded.
        members: prototypes of each of the K classes, int64 (K, M), 0 where padded; every prototype
            belongs to one class.
        mask: True (K, M) where there is a prototype.
    """
    sums: Tensor
    if in_graph(activations):
        sums = _sum_in_graph(activations, weights, members, mask)
        return sums
    size = _size_of_sums(activations, weights)
    if in_one_piece(activations):
        return weighted_sums(activations.flatten(2), weights, members).view(size)
    sums = _GroupSums.apply(activations.flatten(2), weights, members, mask)
    return sums.view(size)


def weighted_sums(activations: Tensor, weights: Tensor, members: Tensor) -> Tensor:
    """Return ``w . g`` of every group (B, K, G, n), in one piece; see :func:`group_sums`."""
    own = activations.index_select(1, members.flatten())
    return torch.matmul(weights, own.unflatten(1, members.shape))


class _GroupSums(torch.autograd.Function):
    """A class's activations are brought together in the cache, never all of them in memory."""

    @staticmethod
    def forward(
        ctx: Any, activations: Tensor, weights: Tensor, members: Tensor, mask: Tensor
    ) -> Tensor:
        """Sum; see :func:`group_sums`."""
        ctx.save_for_backward(activations, weights, members, mask)
        sums = activations.new_empty(len(activations), *weights.shape[:2], activations.shape[2])
        _sum(activations, weights, members, sums)
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Differentiate a matrix product for each class."""
        activations, weights, members, mask = ctx.saved_tensors
        needed = ctx.needs_input_grad[:2]
        with without_autocast(activations):
            if torch.is_grad_enabled():
                sums = weighted_sums(activations, weights, members)
                found = plain_gradients((sums,), (activations, weights), needed, (grad,))
            else:
                found = _differentiate(activations, weights, members, mask, grad, needed)
        return *found, None, None


def _sum(activations: Tensor, weights: Tensor, members: Tensor, sums: Tensor) -> None:
    """Write sums (B, K, G, n)."""
    tiling = Tiling.of(activations)
    for images, span in tiling:
        for classes in _classes(members, tiling.rows):
            own = _own(activations, members[classes], images, span)
            sums[images, classes, :, span] = torch.matmul(weights[classes], own)


def _differentiate(
    activations: Tensor,
    weights: Tensor,
    members: Tensor,
    mask: Tensor,
    grad: Tensor,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients by activations and weights, None where not needed."""
    grad_activations = torch.empty_like(activations) if needed[0] else None
    grad_weights = torch.zeros_like(weights) if needed[1] else None
    tiling = Tiling.of(activations)
    parts = [
        (classes, members[classes][mask[classes]], mask[classes].flatten().nonzero().flatten())
        for classes in _classes(members, tiling.rows)
    ]
    for images, span in tiling:
        for classes, prototypes, places in parts:
            to_sums = grad[images, classes, :, span]
            if grad_activations is not None:
                to_own = torch.matmul(weights[classes].transpose(1, 2), to_sums).flatten(1, 2)
                grad_activations[images, prototypes, span] = to_own.index_select(1, places)
            if grad_weights is not None:
                own = _own(activations, members[classes], images, span)
                grad_weights[classes] += torch.matmul(to_sums, own.transpose(2, 3)).sum(0)
    return [grad_activations, grad_weights]


def _own(activations: Tensor, members: Tensor, images: slice, span: slice) -> Tensor:
    """Return a tile of the members' activations (B, K, M, n)."""
    # index_select would first copy the tile of all prototypes.
    own = activations[images, members.flatten(), span]
    return own.view(len(own), *members.shape, own.shape[2])


def _classes(members: Tensor, rows: int) -> Iterator[slice]:
    """Go through the classes, with at most so many prototypes at a time."""
    step = max(rows // members.shape[1], 1)
    for start in range(0, len(members), step):
        yield slice(start, start + step)


# --- in compiled graphs


@torch.library.custom_op("protoxai::group_sums", mutates_args=())
def _sum_in_graph(activations: Tensor, weights: Tensor, members: Tensor, mask: Tensor) -> Tensor:
    del mask
    # Not a view of flat sums: it could not be changed in place.
    sums = activations.new_empty(_size_of_sums(activations, weights))
    with without_autocast(activations):
        _sum(activations.flatten(2), weights, members, sums.flatten(3))
    return sums


@_sum_in_graph.register_fake
def _(activations: Tensor, weights: Tensor, *others: Tensor) -> Tensor:
    del others
    return activations.new_empty(_size_of_sums(activations, weights))


@torch.library.custom_op("protoxai::group_sums_backward", mutates_args=())
def _differentiate_in_graph(
    activations: Tensor,
    weights: Tensor,
    members: Tensor,
    mask: Tensor,
    grad: Tensor,
    needed: list[bool],
) -> list[Tensor]:
    given = (activations.flatten(2), weights, members, mask, grad.flatten(3))
    with without_autocast(activations):
        found = _differentiate(*given, needed)
    return shaped(found, (activations, weights))


@_differentiate_in_graph.register_fake
def _(activations: Tensor, weights: Tensor, *others: Any) -> list[Tensor]:
    return [x.new_empty(x.shape) for x in compress((activations, weights), others[-1])]


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    needed = list(ctx.needs_input_grad[:2])
    return *placed(_differentiate_in_graph(*ctx.saved_tensors, grad, needed), needed), None, None


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    ctx.save_for_backward(*inputs)


_sum_in_graph.register_autograd(_gradients, setup_context=_remember)


def _size_of_sums(activations: Tensor, weights: Tensor) -> tuple[int, ...]:
    # In a graph, len would make a number of a size that may change.
    return activations.shape[0], *weights.shape[:2], *activations.shape[2:]
