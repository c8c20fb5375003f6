"""Logits straight from the embedding, without ever holding the maps of all prototypes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead
from protoxai.kernels.last_layer import UniformLayer, uniform_layer
from protoxai.kernels.reference import Rows, against_squares, rows_of, with_squares
from protoxai.kernels.tiles import Tiling, Workspace
from protoxai.prototypes.layer import MultiScalePrototypeLayer, check_embedding
from protoxai.runtime.precision import widen, without_autocast

Head = PrototypeHead | SparseGroupHead


@torch.no_grad()
def stream_logits(layer: MultiScalePrototypeLayer, head: Head, embedding: Tensor) -> Tensor:
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
        divided = _blocks(head, tiling.rows, vectors.dtype)
        blocks = [(block, _by_scale(block.numbers, layer, prototypes)) for block in divided]
        least = layer.epsilon / (1 - layer.epsilon)
        logits = vectors.new_zeros(len(vectors), len(head.weight), vectors.shape[3])
        workspace = Workspace(vectors)
        for images, pixels in tiling:
            right = with_squares(vectors[images, ..., pixels], workspace)
            tile = logits[images, :, pixels]
            to_all = torch.zeros_like(tile[:, :1])
            for block, lefts in blocks:
                size = (len(right), len(block.numbers), right.shape[3])
                inverse = workspace.take("activations", *size)
                for scale, own, left in lefts:
                    torch.bmm(left.expand(len(right), -1, -1), right[:, scale], out=inverse[:, own])
                # log((d + 1) / (d + epsilon)) = log(1 + (1 - epsilon) / (d + epsilon))
                inverse.clamp_min_(least).reciprocal_()
                block.add_to(tile, to_all, inverse.add_(1).log_(), workspace)
            tile += to_all
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

    def add_to(
        self, logits: Tensor, to_all: Tensor, activations: Tensor, workspace: Workspace
    ) -> None:
        """Add to logits (B, C, n pixels) what the prototypes' activations give."""
        del to_all, workspace
        logits.baddbmm_(self.weight.expand(len(logits), -1, -1), activations)


@dataclass(frozen=True)
class _ClassBlock:
    """Some classes with their prototypes, and their groups in stage 2.

    Attributes:
        numbers: of the n prototypes of these classes, sorted by scale.
        places: where among the n each class's prototypes are, (K, M), 0 where padded.
        group_weight: (K, G, M), 0 where padded; None in stage 1.
        last: the columns of the last layer, (C, K G); if it is uniform, what its units weigh more
            for their own class than for others, (K, 1, G or M).
        to_others: what they weigh for others, (1, K G or K M), if the last layer is uniform.
        rows: which rows of the logits are the K classes', if the last layer is uniform.
    """

    numbers: Tensor
    places: Tensor
    group_weight: Tensor | None
    last: Tensor
    to_others: Tensor | None
    rows: Rows

    def add_to(
        self, logits: Tensor, to_all: Tensor, activations: Tensor, workspace: Workspace
    ) -> None:
        """Add to logits (B, C, n pixels) what the classes' units give.

        If the last layer is uniform, what they give all other classes is added to `to_all`
        (B, 1, n pixels), and the logits of the K classes, which no other block has, are set.
        """
        batch, _, pixels = activations.shape
        members = workspace.take("members", batch, self.places.numel(), pixels)
        torch.index_select(activations, 1, self.places.flatten(), out=members)
        units = members.unflatten(1, self.places.shape)
        if self.group_weight is not None:
            sums = workspace.take("sums", batch, *self.group_weight.shape[:2], pixels)
            units = torch.matmul(self.group_weight, units, out=sums).exp_()
        flat = units.flatten(1, 2)
        if self.to_others is None:
            logits.baddbmm_(self.last.expand(batch, -1, -1), flat)
        else:
            to_all.baddbmm_(self.to_others.expand(batch, -1, -1), flat)
            logits[:, self.rows] = torch.matmul(self.last, units).squeeze(2)


def _blocks(head: Head, most: int, dtype: torch.dtype) -> list[_PrototypeBlock] | list[_ClassBlock]:
    """Divide a head into blocks of so many prototypes, or of the least whole classes."""
    weight = head.weight.to(dtype)
    if isinstance(head, SparseGroupHead):
        groups = head.group_parameter.masked_fill(~head.member_mask, 0).to(dtype)
        return _class_blocks(head, uniform_layer(weight, head.group_table), weight, groups, most)
    uniform = uniform_layer(weight, head.table)
    if uniform is not None:
        return _class_blocks(head, uniform, weight, None, most)
    scale = head.table.scale_index
    blocks = []
    for numbers in torch.arange(len(scale)).split(most):
        ordered = numbers[scale[numbers].argsort(stable=True)]
        blocks.append(_PrototypeBlock(ordered, weight[:, rows_of(ordered)]))
    return blocks


def _class_blocks(
    head: Head, uniform: UniformLayer | None, weight: Tensor, groups: Tensor | None, most: int
) -> list[_ClassBlock]:
    classes, scale = head.table.classes, head.table.scale_index
    members, mask = (rows[classes] for rows in head.table.members("class"))
    # Classes of about as many prototypes come together, so that little is padded.
    counts, by_count = mask.sum(1).sort(stable=True)
    block = (counts.cumsum(0) - counts) // most
    blocks: list[_ClassBlock] = []
    for chosen in by_count.split(block.unique_consecutive(return_counts=True)[1].tolist()):
        width = int(mask[chosen[-1]].sum())
        own, present = members[chosen, :width], mask[chosen, :width]
        numbers = own[present]
        order = scale[numbers].argsort(stable=True)
        places = torch.zeros_like(own).masked_scatter_(present, order.argsort())
        rows = rows_of(chosen)
        to_others = None
        if uniform is None:
            last = weight.view(len(weight), len(classes), -1)[:, rows].flatten(1)
        else:
            pairs = uniform.pairs[rows] if groups is not None else uniform.pairs[rows, :, :width]
            to_others, last = pairs[:, 0].reshape(1, -1), pairs[:, 1:]
        blocks.append(
            _ClassBlock(
                numbers[order],
                places.to(weight.device),
                None if groups is None else groups[rows, :, :width],
                last,
                to_others,
                rows_of(classes[chosen]),
            )
        )
    return blocks


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
