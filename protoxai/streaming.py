"""Logits straight from the embedding, without ever holding the maps of all prototypes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from protoxai.comparing import activate_, against_squares, check_embedding, with_squares
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
        vectors, prototypes = widen(embedding.flatten(3), layer.prototypes)
        tiling = Tiling.of(vectors)
        blocks = [
            (block, _by_scale(block.numbers, head, prototypes))
            for block in _blocks(head, tiling.rows)
        ]
        logits = vectors.new_zeros(len(vectors), len(head.weight), vectors.shape[3])
        for images, pixels in tiling:
            right = with_squares(vectors[images, ..., pixels])
            tile = logits[images, :, pixels]
            for block, lefts in blocks:
                products = [_product(left, right[:, scale]) for scale, left in lefts]
                distances = torch.cat(products, 1).relu_()
                block.add_to(tile, activate_(distances, layer.epsilon))
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
    head: PrototypeHead | SparseGroupHead, most: int
) -> Iterator[_PrototypeBlock | _ClassBlock]:
    """Divide a head into blocks of so many prototypes, or of the least whole classes."""
    device, scale = head.weight.device, head.table.scale_index
    if isinstance(head, PrototypeHead):
        for numbers in scale.argsort(stable=True).split(most):
            yield _PrototypeBlock(numbers, head.weight[:, numbers.to(device)])
        return
    members, mask = (rows[head.classes] for rows in head.table.members("class"))
    step = max(most // members.shape[1], 1)
    weights = head.group_parameter.masked_fill(~head.member_mask, 0).split(step)
    columns = head.weight.split(step * head.num_groups, 1)
    parts = zip(members.split(step), mask.split(step), weights, columns, strict=True)
    for own, present, group_weight, weight in parts:
        numbers = own[present]
        order = scale[numbers].argsort(stable=True)
        places = torch.zeros_like(own).masked_scatter_(present, order.argsort())
        yield _ClassBlock(numbers[order], places.to(device), group_weight, weight)


def _by_scale(
    numbers: Tensor, head: PrototypeHead | SparseGroupHead, prototypes: Tensor
) -> list[tuple[int, Tensor]]:
    """Return the scales of prototypes sorted by scale, and for each what to multiply with."""
    scales, counts = head.table.scale_index[numbers].unique_consecutive(return_counts=True)
    rows = against_squares(prototypes[numbers.to(prototypes.device)]).split(counts.tolist())
    return list(zip(scales.tolist(), rows, strict=True))


def _product(left: Tensor, right: Tensor) -> Tensor:
    return torch.bmm(left.expand(len(right), -1, -1), right)
