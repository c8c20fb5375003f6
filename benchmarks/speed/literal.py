"""The method word for word: loops over images, classes, scales and pairs.

Every function computes its formula in the plainest form, and tests compare the library's results
with it. Nothing here is slow on purpose, and nothing is optimised. Tables have to be sorted by
scale (as :meth:`protoxai.PrototypeTable.regular` makes them), so that the maps of the scales need
only be concatenated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from protoxai import PrototypeTable

EPSILON = 1e-4


def prototype_diversity(distances: Tensor, labels: Tensor, table: PrototypeTable) -> Tensor:
    """Mean of exp(-D) over (image, class, scale, pair), of distances (B, P, h, w)."""
    similar = []
    for image, class_index, pixels in _classes_present(labels, table, least=2):
        for scale in range(table.num_scales):
            distributions = [
                distances[image, prototype][pixels].log_softmax(0)
                for prototype in _members(table, class_index, scale)
            ]
            similar += [torch.exp(-_symmetric_kl(p, q)) for p, q in combinations(distributions, 2)]
    return _mean(similar, distances)


def spatial_entropy(activations: Tensor, labels: Tensor, table: PrototypeTable) -> Tensor:
    """Mean over (image, class) of the prototypes' mean entropy over the class's pixels."""
    per_class = []
    for image, class_index, pixels in _classes_present(labels, table, least=2):
        entropies = [
            _entropy(activations[image, prototype][pixels], 0) / math.log(int(pixels.sum()))
            for prototype in _members(table, class_index)
        ]
        if entropies:
            per_class.append(torch.stack(entropies).mean())
    return _mean(per_class, activations)


def sample_entropy(activations: Tensor, labels: Tensor, table: PrototypeTable) -> Tensor:
    """Mean over (image, class, scale) of the pixels' mean entropy over the scale's prototypes."""
    per_scale = []
    for image, class_index, pixels in _classes_present(labels, table, least=1):
        for scale in range(table.num_scales):
            members = _members(table, class_index, scale)
            if len(members) >= 2:
                own = torch.stack([activations[image, p][pixels] for p in members])
                per_scale.append(_entropy(own, 0).mean() / math.log(len(members)))
    return _mean(per_scale, activations)


def group_diversity(scores: Tensor, labels: Tensor, group_class: Tensor) -> Tensor:
    """Mean of exp(-D) over (image, class, pair of groups), of scores (B, N, h, w)."""
    groups = PrototypeTable(group_class, group_class * 0, int(group_class.max()) + 1, 1)
    return prototype_diversity(scores, labels, groups)


def group_entropy(weights: Sequence[Tensor]) -> Tensor:
    """Mean over groups of their normalised entropy; ``weights`` has (G, M_c) for each class."""
    entropies = []
    for of_class in weights:
        for row in of_class:
            entropy = -(row * (row + 1e-5).log()).sum()
            count = len(row)
            entropies.append(entropy / math.log(count) if count >= 2 else entropy * 0)
    return torch.stack(entropies).mean()


def group_cross_entropy(weights: Sequence[Tensor]) -> Tensor:
    """Minus the mean cross-entropy over ordered pairs of groups of one class."""
    pairs = [
        -(first * second.clamp_min(1e-5).log()).sum()
        for of_class in weights
        for first, second in permutations(of_class, 2)
    ]
    return -torch.stack(pairs).mean()


def scale_max(weights: Sequence[Tensor], table: PrototypeTable) -> Tensor:
    """Minus the mean over (class, scale) of the groups' mean largest weight in that scale."""
    largest = []
    for of_class, class_index in zip(weights, table.classes.tolist(), strict=True):
        scales = table.scale_index[_members(table, class_index)]
        largest += [
            torch.stack([row[scales == scale].max() for row in of_class]).mean()
            for scale in scales.unique()
        ]
    return -torch.stack(largest).mean()


def distances(embedding: Tensor, prototypes: Tensor, table: PrototypeTable) -> Tensor:
    """Squared distances (B, P, h, w) of an embedding (B, S, D, h, w), scale by scale."""
    blocks = []
    for scale in range(table.num_scales):
        own = prototypes[table.scale_index == scale]
        vectors = embedding[:, scale]
        lengths = vectors.square().sum(1, keepdim=True)
        products = F.conv2d(vectors, own[:, :, None, None])
        blocks.append(F.relu(lengths - 2 * products + own.square().sum(1)[:, None, None]))
    return torch.cat(blocks, 1)


def activations(squared: Tensor) -> Tensor:
    """log((d + 1) / (d + epsilon)) of squared distances."""
    return torch.log((squared + 1) / (squared + EPSILON))


def stage1_logits(
    embedding: Tensor, prototypes: Tensor, table: PrototypeTable, last_layer: Tensor
) -> Tensor:
    """Logits (B, C, h, w) of stage 1; ``last_layer`` is (C, P)."""
    maps = activations(distances(embedding, prototypes, table))
    return F.conv2d(maps, last_layer[:, :, None, None])


def grouped_logits(
    embedding: Tensor,
    prototypes: Tensor,
    table: PrototypeTable,
    weights: Sequence[Tensor],
    last_layer: Tensor,
) -> Tensor:
    """Logits (B, C, h, w) of stage 2; ``weights`` (G, M_c) of each class, ``last_layer`` (C, N)."""
    maps = activations(distances(embedding, prototypes, table))
    scores = []
    for of_class, class_index in zip(weights, table.classes.tolist(), strict=True):
        own = maps[:, _members(table, class_index)]
        scores.append(F.conv2d(own, of_class[:, :, None, None]).exp())
    return F.conv2d(torch.cat(scores, 1), last_layer[:, :, None, None])


class NearestPatch(NamedTuple):
    """Position of the patch nearest to a prototype; its distance is infinite if there is none."""

    distance: float
    image: int
    row: int
    col: int


@torch.no_grad()
def projection(
    images: Sequence[tuple[Tensor, Tensor]], prototypes: Tensor, table: PrototypeTable
) -> tuple[list[NearestPatch], Tensor, list[int]]:
    """Search the nearest patch of each prototype's class, over (embedding, labels) of each image.

    Returns:
        The patch of each prototype, the new prototypes (P, D), and the indices of those that do not
        duplicate an earlier one of their scale.
    """
    patches = [NearestPatch(math.inf, -1, -1, -1)] * len(table)
    vectors = prototypes.clone()
    classes, scales = table.class_index.tolist(), table.scale_index.tolist()
    for image, (embedding, labels) in enumerate(images):
        maps = distances(embedding[None], prototypes, table)[0]
        for prototype, class_index in enumerate(classes):
            own = labels == class_index
            if own.any():
                map_ = torch.where(own, maps[prototype], torch.inf)
                row, col = divmod(int(map_.argmin()), map_.shape[1])
                distance = float(map_[row, col])
                if distance < patches[prototype].distance:
                    patches[prototype] = NearestPatch(distance, image, row, col)
                    vectors[prototype] = embedding[scales[prototype], :, row, col]
    first: dict[tuple[int, bytes], int] = {}
    for prototype, scale in enumerate(scales):
        first.setdefault((scale, vectors[prototype].numpy(force=True).tobytes()), prototype)
    return patches, vectors, sorted(first.values())


def _classes_present(
    labels: Tensor, table: PrototypeTable, least: int
) -> Iterator[tuple[int, int, Tensor]]:
    """Yield image, class and pixel mask of each class with enough pixels in an image."""
    for image in range(len(labels)):
        for class_index in table.classes.tolist():
            pixels = labels[image] == class_index
            if pixels.sum() >= least:
                yield image, class_index, pixels


def _members(table: PrototypeTable, class_index: int, scale: int | None = None) -> list[int]:
    """Return the indices of a class's prototypes, at one scale or at all scales."""
    own = table.class_index == class_index
    if scale is not None:
        own = own & (table.scale_index == scale)
    return own.nonzero().flatten().tolist()


def _symmetric_kl(first: Tensor, second: Tensor) -> Tensor:
    """Return ½ [KL(p‖q) + KL(q‖p)] of two logarithms of distributions."""
    forward = (first.exp() * (first - second)).sum()
    backward = (second.exp() * (second - first)).sum()
    return (forward + backward) / 2


def _entropy(values: Tensor, dim: int) -> Tensor:
    """Return the entropy of the softmax of the values."""
    logarithms = values.log_softmax(dim)
    return -(logarithms.exp() * logarithms).sum(dim)


def _mean(terms: Sequence[Tensor], source: Tensor) -> Tensor:
    return torch.stack(list(terms)).mean() if terms else source.sum() * 0
