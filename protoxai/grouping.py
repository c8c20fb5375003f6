"""Weighted sums of each class's own activations, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from protoxai.double_backward import plain_gradients
from protoxai.precision import without_autocast
from protoxai.tiles import Tiling, in_one_piece


def group_sums(activations: Tensor, weights: Tensor, members: Tensor, mask: Tensor) -> Tensor:
    """Return ``w . g`` of every group (B, K, G, n).

    Args:
        activations: (B, P, n), float32 or wider.
        weights: (K, G, M), of the same type, 0 where padded.
        members: prototypes of each of the K classes, int64 (K, M), 0 where padded; every prototype
            belongs to one class.
        mask: True (K, M) where there is a prototype.
    """
    if in_one_piece():
        return weighted_sums(activations, weights, members)
    sums: Tensor = _GroupSums.apply(activations, weights, members, mask)
    return sums


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
        batch, _, pixels = activations.shape
        sums = activations.new_empty(batch, *weights.shape[:2], pixels)
        tiling = Tiling.of(activations)
        for images, span in tiling:
            for classes in _classes(members, tiling.rows):
                own = _own(activations, members[classes], images, span)
                sums[images, classes, :, span] = torch.matmul(weights[classes], own)
        ctx.save_for_backward(activations, weights, members, mask)
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Differentiate a matrix product for each class."""
        activations, weights, members, mask = ctx.saved_tensors
        with without_autocast(activations):
            if torch.is_grad_enabled():
                sums = weighted_sums(activations, weights, members)
                found = plain_gradients(
                    (sums,), (activations, weights), ctx.needs_input_grad[:2], (grad,)
                )
                return found[0], found[1], None, None
            return *_differentiate(ctx, activations, weights, members, mask, grad), None, None


def _differentiate(
    ctx: Any, activations: Tensor, weights: Tensor, members: Tensor, mask: Tensor, grad: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    grad_activations = torch.empty_like(activations) if ctx.needs_input_grad[0] else None
    grad_weights = torch.zeros_like(weights) if ctx.needs_input_grad[1] else None
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
    return grad_activations, grad_weights


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
