"""Squared distances and activations of all pixels and prototypes, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any

import torch
from torch import Tensor

from protoxai.kernels.gradients import placed, plain_gradients, shaped
from protoxai.kernels.reference import (
    CENTRE,
    Rows,
    activate,
    activation,
    against_squares,
    squared_distances,
    with_squares,
)
from protoxai.kernels.tiles import Tiling, in_graph, in_one_piece
from protoxai.runtime.precision import without_autocast


def compare(
    embedding: Tensor, prototypes: Tensor, rows: Sequence[Rows], epsilon: float
) -> tuple[Tensor, Tensor]:
    """Return squared distances and activations, both (B, P, *size).

    Args:
        embedding: (B, S, D, *size), float32 or wider.
        prototypes: (P, D), of the same type.
        rows: which prototypes belong to each scale, S slices or index tensors.
        epsilon: bounds the activation.
    """
    found: tuple[Tensor, Tensor]
    if in_graph(embedding):
        found = _compare_in_graph(embedding, prototypes, *_spelt(rows), epsilon)
        return found
    size = _size_of_maps(embedding, prototypes)
    if in_one_piece(embedding):
        distances = squared_distances(embedding.flatten(3), prototypes, rows).view(size)
        return distances, activation(distances, epsilon)
    found = _Comparison.apply(embedding.flatten(3), prototypes, tuple(rows), epsilon)
    return found[0].view(size), found[1].view(size)


class _Comparison(torch.autograd.Function):
    """Every tile is compared and activated while it is in the cache; so is it differentiated."""

    @staticmethod
    def forward(
        ctx: Any, embedding: Tensor, prototypes: Tensor, rows: tuple[Rows, ...], epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """Compare; see :func:`compare`."""
        size = (len(embedding), len(prototypes), embedding.shape[3])
        distances, activations = embedding.new_empty(size), embedding.new_empty(size)
        _compare(embedding, prototypes, rows, epsilon, distances, activations)
        ctx.save_for_backward(embedding, prototypes, distances)
        ctx.set_materialize_grads(False)
        ctx.rows, ctx.epsilon = rows, epsilon
        return distances, activations

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> tuple[Tensor | None, ...]:
        """Differentiate ``|z - p|^2`` and ``log((d + 1) / (d + epsilon))``."""
        if incoming == (None, None):
            return None, None, None, None
        embedding, prototypes, distances = ctx.saved_tensors
        needed = ctx.needs_input_grad[:2]
        with without_autocast(embedding):
            if torch.is_grad_enabled():
                distances = squared_distances(embedding, prototypes, ctx.rows)
                found = plain_gradients(
                    (distances, activation(distances, ctx.epsilon)),
                    (embedding, prototypes),
                    needed,
                    incoming,
                )
            else:
                found = _differentiate(
                    embedding, prototypes, distances, ctx.rows, ctx.epsilon, incoming, needed
                )
        return *found, None, None


def _compare(
    embedding: Tensor,
    prototypes: Tensor,
    rows: Sequence[Rows],
    epsilon: float,
    distances: Tensor,
    activations: Tensor,
) -> None:
    """Write distances and activations (B, P, n)."""
    tiling = Tiling.of_whole_maps(embedding)
    parts = [
        (scale, own, against_squares(prototypes[own])) for scale, own in _parts(rows, tiling.rows)
    ]
    for images, _ in tiling:
        right = with_squares(embedding[images])
        for scale, own, left in parts:
            # Views of the results, or copies where the prototypes are not consecutive.
            near, active = distances[images, own], activations[images, own]
            torch.bmm(left.expand(len(right), -1, -1), right[:, scale], out=near)
            activate(near.relu_(), epsilon, out=active)
            if isinstance(own, Tensor):
                distances[images, own], activations[images, own] = near, active


def _differentiate(
    embedding: Tensor,
    prototypes: Tensor,
    distances: Tensor,
    rows: Sequence[Rows],
    epsilon: float,
    incoming: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients by embedding and prototypes, None where not needed."""
    grad_distances, grad_activations = incoming
    dim, centred = prototypes.shape[1], prototypes - CENTRE
    grad_embedding = torch.empty_like(embedding) if needed[0] else None
    grad_prototypes = torch.zeros_like(prototypes) if needed[1] else None
    tiling = Tiling.of(embedding)
    parts = [
        (scale, own, against_squares(prototypes[own]).T) for scale, own in _parts(rows, tiling.rows)
    ]
    for images, pixels in tiling:
        right = with_squares(embedding[images, ..., pixels])
        grad_right = torch.zeros_like(right)
        for scale, own, left in parts:
            found = distances[images, own, pixels]
            grad = 0 if grad_distances is None else grad_distances[images, own, pixels]
            if grad_activations is not None:
                slope = (found + 1).mul_(found + epsilon).reciprocal_().mul_(epsilon - 1)
                grad = slope.mul_(grad_activations[images, own, pixels]).add_(grad)
            grad = torch.where(found > 0, grad, 0)
            if grad_embedding is not None:
                grad_right[:, scale].baddbmm_(left.expand(len(grad), -1, -1), grad)
            if grad_prototypes is not None:
                products = torch.bmm(grad, right[:, scale].transpose(1, 2)).sum(0)
                grad_prototypes[own] += 2 * (centred[own] * products[:, -1:] - products[:, :dim])
        if grad_embedding is not None:
            to_length = 2 * right[:, :, :dim] * grad_right[:, :, dim, None]
            grad_embedding[images, ..., pixels] = grad_right[:, :, :dim] + to_length
    return [grad_embedding, grad_prototypes]


def _parts(rows: Sequence[Rows], most: int) -> Iterator[tuple[int, Rows]]:
    """Go through scales and their prototypes, at most so many at a time."""
    for scale, own in enumerate(rows):
        if isinstance(own, Tensor):
            yield from ((scale, part) for part in own.split(most))
        else:
            for start in range(own.start, own.stop, most):
                yield scale, slice(start, min(start + most, own.stop))


# --- in compiled graphs


@torch.library.custom_op("protoxai::compare", mutates_args=())
def _compare_in_graph(
    embedding: Tensor, prototypes: Tensor, spans: list[int], numbers: list[Tensor], epsilon: float
) -> tuple[Tensor, Tensor]:
    size = _size_of_maps(embedding, prototypes)
    # Not views of flat maps: they could not be changed in place.
    found = embedding.new_empty(size), embedding.new_empty(size)
    flat = (maps.flatten(2) for maps in found)
    with without_autocast(embedding):
        _compare(embedding.flatten(3), prototypes, _rows(spans, numbers), epsilon, *flat)
    return found


@_compare_in_graph.register_fake
def _(embedding: Tensor, prototypes: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    del others
    size = _size_of_maps(embedding, prototypes)
    return embedding.new_empty(size), embedding.new_empty(size)


@torch.library.custom_op("protoxai::compare_backward", mutates_args=())
def _differentiate_in_graph(
    embedding: Tensor,
    prototypes: Tensor,
    distances: Tensor,
    spans: list[int],
    numbers: list[Tensor],
    epsilon: float,
    grad_distances: Tensor | None,
    grad_activations: Tensor | None,
    needed: list[bool],
) -> list[Tensor]:
    incoming = [
        None if grad is None else grad.flatten(2) for grad in (grad_distances, grad_activations)
    ]
    given = (embedding.flatten(3), prototypes, distances.flatten(2), _rows(spans, numbers))
    with without_autocast(embedding):
        found = _differentiate(*given, epsilon, incoming, needed)
    return shaped(found, (embedding, prototypes))


@_differentiate_in_graph.register_fake
def _(embedding: Tensor, prototypes: Tensor, *others: Any) -> list[Tensor]:
    return [x.new_empty(x.shape) for x in compress((embedding, prototypes), others[-1])]


def _gradients(ctx: Any, *incoming: Tensor | None) -> tuple[Any, ...]:
    embedding, prototypes, distances, *numbers = ctx.saved_tensors
    needed = list(ctx.needs_input_grad[:2])
    found: list[Tensor | None] = [None, None]
    if incoming != (None, None):
        given = (embedding, prototypes, distances, ctx.spans, numbers, ctx.epsilon, *incoming)
        found = placed(_differentiate_in_graph(*given, needed), needed)
    return *found, None, [None] * len(numbers), None


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    embedding, prototypes, ctx.spans, numbers, ctx.epsilon = inputs
    ctx.save_for_backward(embedding, prototypes, output[0], *numbers)
    ctx.set_materialize_grads(False)


_compare_in_graph.register_autograd(_gradients, setup_context=_remember)


def _size_of_maps(embedding: Tensor, prototypes: Tensor) -> tuple[int, ...]:
    # In a graph, len would make a number of a size that may change.
    return embedding.shape[0], prototypes.shape[0], *embedding.shape[3:]


def _spelt(rows: Sequence[Rows]) -> tuple[list[int], list[Tensor]]:
    """Return rows as a graph can have them: starts and stops, below 0 for those of a tensor."""
    spans = [(-1, -1) if isinstance(own, Tensor) else (own.start, own.stop) for own in rows]
    return [edge for span in spans for edge in span], [x for x in rows if isinstance(x, Tensor)]


def _rows(spans: Sequence[int], numbers: Sequence[Tensor]) -> list[Rows]:
    """Return the rows that were spelt so."""
    left = iter(numbers)
    edges = zip(spans[::2], spans[1::2], strict=True)
    return [next(left) if start < 0 else slice(start, stop) for start, stop in edges]
