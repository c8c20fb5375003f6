"""Squared distances of vectors and prototypes and what they activate, as formulas."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from protoxai.kernels.tiles import Workspace

# An embedding lies in (0, 1). Seen from the centre, squared lengths and so rounding are a quarter.
CENTRE = 0.5

Rows = slice | Tensor


def rows_of(index: Tensor) -> Rows:
    """Return a slice where numbers (n,) are consecutive: it reads without a copy; else them."""
    start = int(index[0]) if len(index) else 0
    if torch.equal(index, torch.arange(start, start + len(index))):
        return slice(start, start + len(index))
    return index


def squared_distances(embedding: Tensor, prototypes: Tensor, rows: Sequence[Rows]) -> Tensor:
    """Return ``max(0, |z|^2 - 2 z.p + |p|^2)`` (B, P, n); arguments as of :func:`compare`."""
    embedding, prototypes = embedding - CENTRE, prototypes - CENTRE
    lengths = embedding.square().sum(2)
    blocks = []
    for scale, own in enumerate(rows):
        vectors = prototypes[own]
        norms = lengths[:, scale, None] + vectors.square().sum(1)[:, None]
        products = torch.bmm(vectors.expand(embedding.shape[0], -1, -1), embedding[:, scale])
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


def _in_order(rows: Sequence[Rows]) -> bool:
    """Whether the rows of one scale follow on those of the scale before."""
    stop = 0
    for own in rows:
        if isinstance(own, Tensor) or own.start not in (stop, own.stop):
            return False
        stop = max(stop, own.stop)
    return True
