"""The formulas of the method, written out plainly and only here.

Shapes: B images, S scales, D channels of an embedding vector, P prototypes, K classes that have
prototypes, M prototypes of the class that has most, G groups per class, U units (prototypes or
groups), C classes, h x w pixels of the feature map. Source: Porta et al., WACV 2025
(arXiv 2409.09497), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from protoxai.runtime.precision import full_precision_einsum

# einops caches each tensor type at its first use. If that happened later, compiled functions would
# be compiled a second time.
for _kind in (torch.zeros(1), nn.Parameter(torch.zeros(1))):
    reduce(_kind, "n -> ", "sum")

# Embeddings lie in (0, 1). Measured from the centre of that range, squared lengths are at most a
# quarter as large, and so are their rounding errors. Distances do not depend on the origin.
CENTRE = 0.5


def squared_distances(vectors: Tensor, prototypes: Tensor) -> Tensor:
    """Return ``d = |z - p|^2 = |z|^2 - 2 z.p + |p|^2``, at least 0.

    Args:
        vectors: Embedding vectors ``z``, (B, D, h, w).
        prototypes: Prototypes ``p``, (P, D).

    Returns:
        Squared distances (B, P, h, w).
    """
    z, p = vectors - CENTRE, prototypes - CENTRE
    product = full_precision_einsum(p, z, "p d, b d h w -> b p h w")
    z_length = reduce(z.square(), "b d h w -> b 1 h w", "sum")
    p_length = reduce(p.square(), "p d -> p 1 1", "sum")
    return (z_length - 2 * product + p_length).relu()


def exact_squared_distances(vectors: Tensor, prototypes: Tensor) -> Tensor:
    """Return ``|z - p|^2`` of pairs of vectors, computed from their differences: no cancellation.

    Args:
        vectors: Embedding vectors (..., D).
        prototypes: Prototypes, broadcastable to (..., D).

    Returns:
        Squared distances (...).
    """
    return reduce((vectors - prototypes).square(), "... d -> ...", "sum")


def activation(distances: Tensor, epsilon: float) -> Tensor:
    """Return ``g = log((d + 1) / (d + epsilon))``, which decreases in the distance ``d``."""
    return torch.log((distances + 1) / (distances + epsilon))


def compare(
    embedding: Tensor,
    prototypes: Tensor,
    epsilon: float,
    scale_rows: Sequence[Tensor],
    order: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Return the squared distances and the activations of every prototype, at its own scale.

    Args:
        embedding: Embedding (B, S, D, h, w).
        prototypes: Prototypes (P, D).
        epsilon: Constant that bounds the activation by ``log(1 / epsilon)``.
        scale_rows: Indices of the prototypes of each scale, S tensors.
        order: Position of each prototype in the concatenation of ``scale_rows``, (P,); None if they
            are in order already.

    Returns:
        Squared distances and activations, both (B, P, h, w).
    """
    scales = zip(embedding.unbind(1), scale_rows, strict=True)
    distances = torch.cat([squared_distances(z, prototypes[rows]) for z, rows in scales], 1)
    if order is not None:
        distances = distances.index_select(1, order)
    return distances, activation(distances, epsilon)


def group_scores(activations: Tensor, weights: Tensor, members: Tensor) -> Tensor:
    """Return the scores ``exp(w . g_c)`` of each class's groups.

    Args:
        activations: Prototype activations ``g``, (B, P, h, w).
        weights: Group weights ``w``, (K, G, M), 0 where padded.
        members: Indices of the prototypes of each class, (K, M), arbitrary where padded.

    Returns:
        Group scores (B, K G, h, w), class-major.
    """
    own = activations.index_select(1, members.flatten())
    own = rearrange(own, "b (k m) h w -> b k m h w", k=len(members))
    sums = full_precision_einsum(weights, own, "k g m, b k m h w -> b k g h w")
    return rearrange(sums.exp(), "b k g h w -> b (k g) h w")


def class_logits(units: Tensor, weight: Tensor) -> Tensor:
    """Return the logits ``V u`` of a dense last layer.

    Args:
        units: Prototype activations or group scores ``u``, (B, U, h, w).
        weight: Weights ``V``, (C, U).

    Returns:
        Logits (B, C, h, w).
    """
    return full_precision_einsum(weight, units, "c u, b u h w -> b c h w")


def tied_class_logits(
    units: Tensor, weight: Tensor, unit_class: Tensor, num_classes: int
) -> Tensor:
    """Return the logits of a tied last layer: one weight per unit for all classes but its own.

    Args:
        units: Prototype activations or group scores, (B, U, h, w).
        weight: Weight of each unit for its own class and for every other class, (2, U).
        unit_class: Class of each unit, (U,).
        num_classes: Number of classes C.

    Returns:
        Logits (B, C, h, w).
    """
    own, other = weight
    shared = full_precision_einsum(other, units, "u, b u h w -> b h w")
    logits: Tensor = shared[:, None].expand(-1, num_classes, -1, -1)
    return logits.index_add(1, unit_class, rearrange(own - other, "u -> u 1 1") * units)
