"""Kernels: the method's formulas as functions of tensors, fast and within bounded memory.

:mod:`~protoxai.kernels.reference` holds the formulas. The functions here apply them to large maps
tile by tile; :func:`untiled` switches to the plain formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from protoxai.kernels import reference
from protoxai.kernels.reference import (
    activation,
    class_logits,
    exact_squared_distances,
    squared_distances,
    tied_class_logits,
)
from protoxai.kernels.tiles import by_pixels, untiled

__all__ = [
    "activation",
    "class_logits",
    "compare",
    "exact_squared_distances",
    "group_scores",
    "squared_distances",
    "stream_logits",
    "tied_class_logits",
    "untiled",
]


def compare(
    embedding: Tensor,
    prototypes: Tensor,
    epsilon: float,
    scale_rows: Sequence[Tensor],
    order: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return squared distances and activations; see :func:`protoxai.kernels.reference.compare`."""
    distances, activations = by_pixels(
        lambda tile: reference.compare(tile, prototypes, epsilon, scale_rows, order),
        embedding,
        len(prototypes),
    )
    return distances, activations


def group_scores(activations: Tensor, weights: Tensor, members: Tensor) -> Tensor:
    """Return group scores; see :func:`protoxai.kernels.reference.group_scores`."""
    (scores,) = by_pixels(
        lambda tile: (reference.group_scores(tile, weights, members),),
        activations,
        members.numel(),
    )
    return scores


@torch.no_grad()
def stream_logits(
    to_logits: Callable[[Tensor], Tensor], embedding: Tensor, num_prototypes: int
) -> Tensor:
    """Return logits straight from the embedding, without ever holding the maps of all prototypes.

    Args:
        to_logits: Function of an embedding (B, S, D, h', w') that returns logits (B, C, h', w').
        embedding: Embedding (B, S, D, h, w).
        num_prototypes: Number of prototypes P that each pixel is compared with.

    Returns:
        Logits (B, C, h, w), without a gradient.
    """
    (logits,) = by_pixels(lambda tile: (to_logits(tile),), embedding, num_prototypes, always=True)
    return logits
