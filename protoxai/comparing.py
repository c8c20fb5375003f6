"""Squared distances and activations of all pixels and prototypes, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from protoxai.double_backward import plain_gradients
from protoxai.precision import without_autocast
from protoxai.tiles import Tiling, Workspace, in_one_piece

# An embedding lies in (0, 1). Seen from the centre, squared lengths and so rounding are a quarter.
CENTRE = 0.5

Rows = slice | Tensor


def check_embedding(embedding: Tensor, num_scales: int, dim: int) -> None:
    """Raise ``ValueError`` if an embedding is not (B, S, D, h, w)."""
    if embedding.dim() != 5 or embedding.shape[1:3] != (num_scales, dim):
        raise ValueError(
            f"embedding has shape {tuple(embedding.shape)}, expected (batch, {num_scales} scales, "
            f"{dim} channels, height, width): give one map per scale of the table, with `dim` "
            "channels"
        )


def rows_of(index: Tensor) -> Rows:
    """Return a slice where numbers (n,) are consecutive: it reads without a copy; else them."""
    start = int(index[0]) if len(index) else 0
    if torch.equal(index, torch.arange(start, start + len(index))):
        return slice(start, start + len(index))
    return index


def compare(
    embedding: Tensor, prototypes: Tensor, rows: Sequence[Rows], epsilon: float
) -> tuple[Tensor, Tensor]:
    """Return squared distances and activations, both (B, P, n).

    Args:
        embedding: (B, S, D, n), float32 or wider.
        prototypes: (P, D), of the same type.
        rows: which prototypes belong to each scale, S slices or index tensors.
        epsilon: bounds the activation.
    """
    if in_one_piece():
        distances = squared_distances(embedding, prototypes, rows)
        return distances, activation(distances, epsilon)
    found: tuple[Tensor, Tensor] = _Comparison.apply(embedding, prototypes, tuple(rows), epsilon)
    return found


def squared_distances(embedding: Tensor, prototypes: Tensor, rows: Sequence[Rows]) -> Tensor:
    """Return ``max(0, |z|^2 - 2 z.p + |p|^2)`` (B, P, n); arguments as of :func:`compare`."""
    embedding, prototypes = embedding - CENTRE, prototypes - CENTRE
    lengths = embedding.square().sum(2)
    blocks = []
    for scale, own in enumerate(rows):
        vectors = prototypes[own]
        norms = lengths[:, scale, None] + vectors.square().sum(1)[:, None]
        products = torch.bmm(vectors.expand(len(embedding), -1, -1), embedding[:, scale])
        blocks.append((norms - 2 * products).clamp_min(0))
    found = torch.cat(blocks, 1)
    if _in_order(rows):
        return found
    numbers = torch.arange(len(prototypes), device=prototypes.device)
    return found.index_select(1, torch.cat([numbers[own] for own in rows]).argsort())


def activation(distances: Tensor, epsilon: float) -> Tensor:
    """Return ``log((d + 1) / (d + epsilon))``."""
    return torch.log((distances + 1) / (distances + epsilon))


def activate(distances: Tensor, epsilon: float, out: Tensor) -> None:
    """Write the activations of distances to ``out``, without another tensor of their size."""
    # (d + 1) / (d + epsilon) = 1 + 1 / ((d + epsilon) / (1 - epsilon))
    scale = 1 / (1 - epsilon)
    torch.add(distances.new_tensor(epsilon * scale), distances, alpha=scale, out=out)
    out.reciprocal_().add_(1).log_()


def with_squares(embedding: Tensor, workspace: Workspace | None = None) -> Tensor:
    """Centre vectors (..., D, n), append their squared length and a 1: (..., D + 2, n).

    The product with :func:`against_squares` is the squared distance, in one pass over memory.
    """
    *others, dim, pixels = embedding.shape
    workspace = workspace or Workspace(embedding)
    whole = workspace.take("vectors with their squares", *others, dim + 2, pixels)
    centred = torch.sub(embedding, CENTRE, out=whole[..., :dim, :])
    squares = torch.mul(centred, centred, out=workspace.take("squares", *embedding.shape))
    torch.sum(squares, -2, out=whole[..., dim, :])
    whole[..., dim + 1, :] = 1
    return whole


def against_squares(prototypes: Tensor) -> Tensor:
    """Turn prototypes (n, D), centred, into (n, D + 2): ``-2 p``, 1 and their squared length."""
    prototypes = prototypes - CENTRE
    lengths = prototypes.square().sum(1, keepdim=True)
    return torch.cat([-2 * prototypes, torch.ones_like(lengths), lengths], 1)


class _Comparison(torch.autograd.Function):
    """Every tile is compared and activated while it is in the cache; so is it differentiated."""

    @staticmethod
    def forward(
        ctx: Any, embedding: Tensor, prototypes: Tensor, rows: tuple[Rows, ...], epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """Compare; see :func:`compare`."""
        shape = (len(embedding), len(prototypes), embedding.shape[3])
        distances, activations = embedding.new_empty(shape), embedding.new_empty(shape)
        tiling = Tiling.of_whole_maps(embedding)
        parts = [
            (scale, own, against_squares(prototypes[own]))
            for scale, own in _parts(rows, tiling.rows)
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
        ctx.save_for_backward(embedding, prototypes, distances)
        ctx.set_materialize_grads(False)
        ctx.rows, ctx.epsilon = rows, epsilon
        return distances, activations

    @staticmethod
    def backward(
        ctx: Any, grad_distances: Tensor | None, grad_activations: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Differentiate ``|z - p|^2`` and ``log((d + 1) / (d + epsilon))``."""
        incoming = (grad_distances, grad_activations)
        if incoming == (None, None):
            return None, None, None, None
        embedding, prototypes, distances = ctx.saved_tensors
        with without_autocast(embedding):
            if torch.is_grad_enabled():
                distances = squared_distances(embedding, prototypes, ctx.rows)
                found = plain_gradients(
                    (distances, activation(distances, ctx.epsilon)),
                    (embedding, prototypes),
                    ctx.needs_input_grad[:2],
                    incoming,
                )
                return found[0], found[1], None, None
            return *_differentiate(ctx, embedding, prototypes, distances, incoming), None, None


def _differentiate(
    ctx: Any,
    embedding: Tensor,
    prototypes: Tensor,
    distances: Tensor,
    incoming: tuple[Tensor | None, Tensor | None],
) -> tuple[Tensor | None, Tensor | None]:
    grad_distances, grad_activations = incoming
    dim, centred = prototypes.shape[1], prototypes - CENTRE
    grad_embedding = torch.empty_like(embedding) if ctx.needs_input_grad[0] else None
    grad_prototypes = torch.zeros_like(prototypes) if ctx.needs_input_grad[1] else None
    tiling = Tiling.of(embedding)
    parts = [
        (scale, own, against_squares(prototypes[own]).T)
        for scale, own in _parts(ctx.rows, tiling.rows)
    ]
    for images, pixels in tiling:
        right = with_squares(embedding[images, ..., pixels])
        grad_right = torch.zeros_like(right)
        for scale, own, left in parts:
            found = distances[images, own, pixels]
            grad = 0 if grad_distances is None else grad_distances[images, own, pixels]
            if grad_activations is not None:
                slope = (found + 1).mul_(found + ctx.epsilon).reciprocal_().mul_(ctx.epsilon - 1)
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
    return grad_embedding, grad_prototypes


def _in_order(rows: Sequence[Rows]) -> bool:
    """Whether the rows of one scale follow on those of the scale before."""
    stop = 0
    for own in rows:
        if isinstance(own, Tensor) or own.start not in (stop, own.stop):
            return False
        stop = max(stop, own.stop)
    return True


def _parts(rows: Sequence[Rows], most: int) -> Iterator[tuple[int, Rows]]:
    """Go through scales and their prototypes, at most so many at a time."""
    for scale, own in enumerate(rows):
        if isinstance(own, Tensor):
            yield from ((scale, part) for part in own.split(most))
        else:
            for start in range(own.start, own.stop, most):
                yield scale, slice(start, min(start + most, own.stop))
