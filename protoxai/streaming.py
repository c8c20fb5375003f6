"""Logits straight from the embedding, without ever holding the maps of all prototypes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from protoxai.comparing import against_squares, check_embedding, rows_of, with_squares
from protoxai.grouping import weighted_sums
from protoxai.heads import PrototypeHead, SparseGroupHead
from protoxai.precision import widen, without_autocast
from protoxai.prototypes import MultiScalePrototypeLayer
from protoxai.tiles import Tiling


@torch.no_grad()
def stream_logits(
    layer: MultiScalePrototypeLayer, head: PrototypeHead | SparseGroupHead, embedding: Tensor
) -> Tensor:
    """Return the logits that the head gives the layer's activations, without a gradient.

    Beside the logits only a tile of activations and group scores is in memory at a time.

    Args:
        layer: compares the embedding with the prototypes.
        head: of the same table.
        embedding: (B, S, D, h, w).

    Returns:
        Logits (B, C, h, w), those of ``head(layer(embedding).activations)`` but for rounding.

    Raises:
        ValueError: if the embedding's shape does not fit the layer.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> table = PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=4)
        >>> layer, head = MultiScalePrototypeLayer(table, dim=8), SparseGroupHead(table)
        >>> stream_logits(layer, head, torch.rand(1, 3, 8, 5, 6)).shape
        torch.Size([1, 2, 5, 6])
    """
    check_embedding(embedding, layer.table.num_scales, layer.dim)
    with without_autocast(embedding):
        vectors, prototypes, _ = widen(embedding.flatten(3), layer.prototypes, head.weight)
        tiling = Tiling.of(vectors)
        blocks = [
            (block, _by_scale(block.numbers, layer, prototypes))
            for block in _blocks(head, tiling.rows, vectors.dtype)
        ]
        least = layer.epsilon / (1 - layer.epsilon)
        logits = vectors.new_zeros(len(vectors), len(head.weight), vectors.shape[3])
        for images, pixels in tiling:
            right = with_squares(vectors[images, ..., pixels])
            tile = logits[images, :, pixels]
            for block, lefts in blocks:
                inverse = right.new_empty(len(right), len(block.numbers), right.shape[3])
                for scale, rows, left in lefts:
                    torch.bmm(
                        left.expand(len(right), -1, -1), right[:, scale], out=inverse[:, rows]
                    )
                # log((d + 1) / (d + epsilon)) = log(1 + (1 - epsilon) / (d + epsilon))
                inverse.clamp_min_(least).reciprocal_()
                block.add_to(tile, inverse.add_(1).log_())
        return logits.view(*logits.shape[:2], *embedding.shape[3:])


@dataclass(frozen=True)
class _PrototypeBlock:
    """Some of the prototypes of a stage 1 head, and what they weigh.

    Attributes:
        numbers: of the n prototypes, sorted by scale.
        weight: their columns of the last layer, (C, n).
    """

    numbers: Tensor
    weight: Tensor

    def add_to(self, logits: Tensor, activations: Tensor) -> None:
        """Add to logits (B, C, n pixels) what the prototypes' activations give."""
        logits.baddbmm_(self.weight.expand(len(logits), -1, -1), activations)


@dataclass(frozen=True)
class _ClassBlock:
    """The groups of some classes of a stage 2 head.

    Attributes:
        numbers: of the n prototypes of these classes, sorted by scale.
        places: where among the n each class's prototypes are, (K, M), 0 where padded.
        group_weight: (K, G, M), 0 where padded.
        weight: the groups' columns of the last layer, (C, K G).
    """

    numbers: Tensor
    places: Tensor
    group_weight: Tensor
    weight: Tensor

    def add_to(self, logits: Tensor, activations: Tensor) -> None:
        """Add to logits (B, C, n pixels) what the prototypes' activations give."""
        scores = weighted_sums(activations, self.group_weight, self.places).exp_().flatten(1, 2)
        logits.baddbmm_(self.weight.expand(len(logits), -1, -1), scores)


def _blocks(
    head: PrototypeHead | SparseGroupHead, most: int, dtype: torch.dtype
) -> Iterator[_PrototypeBlock | _ClassBlock]:
    """Divide a head into blocks of so many prototypes, or of the least whole classes."""
    scale = head.table.scale_index
    if isinstance(head, PrototypeHead):
        for numbers in torch.arange(len(scale)).split(most):
            ordered = numbers[scale[numbers].argsort(stable=True)]
            yield _PrototypeBlock(ordered, head.weight.to(dtype)[:, rows_of(ordered)])
        return
    members, mask = (rows[head.classes] for rows in head.table.members("class"))
    weights = head.group_parameter.masked_fill(~head.member_mask, 0).to(dtype)
    columns = head.weight.to(dtype).unflatten(1, weights.shape[:2])
    # Classes of about as many prototypes come together, so that little is padded.
    by_count = mask.sum(1).argsort(stable=True)
    for classes in by_count.split(max(most // members.shape[1], 1)):
        width = int(mask[classes[-1]].sum())
        own, present = members[classes, :width], mask[classes, :width]
        numbers = own[present]
        order = scale[numbers].argsort(stable=True)
        places = torch.zeros_like(own).masked_scatter_(present, order.argsort())
        rows = rows_of(classes)
        yield _ClassBlock(
            numbers[order],
            places.to(weights.device),
            weights[rows, :, :width],
            columns[:, rows].flatten(1),
        )


def _by_scale(
    numbers: Tensor, layer: MultiScalePrototypeLayer, prototypes: Tensor
) -> list[tuple[int, slice, Tensor]]:
    """Divide prototypes sorted by scale: each scale, its rows, and what to multiply with.

    The product with :func:`with_squares` is ``(d + epsilon) / (1 - epsilon)``.
    """
    rows = against_squares(prototypes[numbers.to(prototypes.device)])
    rows[:, -1] += layer.epsilon
    rows /= 1 - layer.epsilon
    scales, counts = layer.table.scale_index[numbers].unique_consecutive(return_counts=True)
    stops = counts.cumsum(0).tolist()
    spans = [slice(stop - count, stop) for stop, count in zip(stops, counts.tolist(), strict=True)]
    return [(scale, span, rows[span]) for scale, span in zip(scales.tolist(), spans, strict=True)]
