"""Pruning: prototypes go whose nearest training patches are mostly of other classes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from protoxai.kernels import exact_squared_distances
from protoxai.labels import check_ignore_index, labels_at
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.projection.batches import Batches, EmbeddedBatch, embedded, stage_1_model
from protoxai.projection.search import nearest_of_each, possibly_nearest
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.checks import Range, whole
from protoxai.runtime.distributed import gather
from protoxai.runtime.finite import check_each
from protoxai.runtime.modes import evaluating
from protoxai.runtime.precision import widen

NEAREST = 6
"""Number of nearest patches that are examined."""
LEAST = 3
"""Number of them that have to show the prototype's own class."""


@dataclass(frozen=True)
class PruningRecord:
    """The classes of the patches nearest to each prototype.

    Attributes:
        found: Number of nearest patches, int64 (P,); fewer than requested if there are fewer
            images.
        own: Number of those that show the prototype's own class, int64 (P,).
        kept: Indices of the prototypes that remain.
    """

    found: Tensor
    own: Tensor
    kept: Tensor


def prune_prototypes(
    model: ScaleProtoSeg,
    batches: Batches,
    *,
    nearest: int = NEAREST,
    least: int = LEAST,
    ignore_index: int = 255,
) -> PruningRecord:
    """Drop the prototypes whose nearest training patches are mostly of other classes.

    Every image has one patch for each prototype: the position, of any class, whose embedding
    vector is nearest to it. Of the nearest such patches of all images, enough have to show the
    prototype's own class: in at least one pixel of the labels, as given, that the position covers
    (rows ``floor(row * H / h)`` to ``floor((row + 1) * H / h)``, end exclusive, columns alike).
    Positions that are ignored on the embedding's grid are no patches. Ties go to the lowest image
    index, then to the first position in row-major order. If there are fewer images than
    ``nearest``, the share ``least / nearest`` of their patches is required. The layer, the table,
    the head and the provenance shrink together. If ``torch.distributed`` is initialised, the
    images of all ranks count. Source: Chen et al., NeurIPS 2019 (arXiv 1806.10574); for
    segmentation Sacha et al., WACV 2023 (arXiv 2301.12276), whose released code counts patches
    in this way.

    Args:
        model: Model in stage 1 with projected prototypes.
        batches: Batches of all training images, as :func:`project_prototypes` takes them.
        nearest: Number of nearest patches that are examined, one per image.
        least: Number of them that have to show the prototype's own class, at most ``nearest``.
        ignore_index: Label of pixels that do not count.

    Returns:
        The record of all prototypes, including those that were dropped.

    Raises:
        ValueError: If the model is in stage 2 or not projected, a batch or a number does not fit,
            or no prototype would remain; the model then stays as it was.
        NotFiniteError: If a weight, an image or an embedding is NaN or infinite.

    Warns:
        UserWarning: If a class loses all of its prototypes.

    Example:
        >>> import torch
        >>> from protoxai import project_prototypes
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> batch = (torch.rand(2, 3, 32, 40), torch.randint(0, 2, (2, 32, 40)))
        >>> _ = project_prototypes(model, [batch])
        >>> record = prune_prototypes(model, [batch])
        >>> len(record.kept) == len(model.table) == len(model.provenance)
        True
    """
    model = stage_1_model(model, "prune")
    if model.provenance is None:
        raise ValueError(
            "the prototypes are not projected, so they show no training patch yet: call "
            "project_prototypes(model, batches) before prune_prototypes"
        )
    nearest = whole("nearest", nearest, Range(least=1))
    least = whole("least", least, Range(least=1, most=nearest))
    ignore_index = check_ignore_index(ignore_index, model.num_classes)
    patches = NearestPatches(model.table, model.prototype_layer.prototypes, nearest)
    with evaluating(model), torch.no_grad():
        for batch in embedded(model, batches, ignore_index):
            patches.update(batch, ignore_index)
    patches.merge_ranks()
    found = patches.distance.isfinite().sum(1)
    own = patches.own.sum(1)
    # Without any patch, nothing speaks against a prototype.
    kept = (own * nearest >= least * found).nonzero().flatten()
    if len(kept) == 0:
        raise ValueError(
            f"no prototype has {least} patches of its own class among its {nearest} nearest, so "
            "none would remain: train longer before the projection, or do without pruning"
        )
    before = set(model.table.classes.tolist())
    model.keep_prototypes(kept)
    _warn_of_lost_classes(model, before - set(model.table.classes.tolist()))
    return PruningRecord(found, own, kept)


class NearestPatches:
    """Streaming search for the images with the patches nearest to each prototype.

    Memory does not grow with the number of images.

    Args:
        table: Class and scale of each prototype.
        prototypes: Prototypes (P, D).
        nearest: Number of patches n to keep for each prototype.

    Attributes:
        distance: Squared distances, ascending, float64 (P, n); infinite if there are fewer patches.
        image: Data set indices of the images, int64 (P, n); -1 if there are fewer patches.
        own: Whether each patch shows the prototype's own class, bool (P, n).
    """

    def __init__(self, table: PrototypeTable, prototypes: Tensor, nearest: int) -> None:
        self.prototypes = prototypes.detach()
        self.table = table.to(prototypes.device)
        shape, device = (len(table), nearest), prototypes.device
        self.distance = torch.full(shape, torch.inf, dtype=torch.float64, device=device)
        self.image = torch.full(shape, -1, dtype=torch.long, device=device)
        self.own = torch.zeros(shape, dtype=torch.bool, device=device)

    def update(self, batch: EmbeddedBatch, ignore_index: int) -> None:
        """Add the patches of a batch.

        Args:
            batch: Labelled images with their embedding.
            ignore_index: Label of pixels that do not count.

        Raises:
            NotFiniteError: If a value of the embedding is NaN or infinite.
        """
        check_each(
            batch.embedding,
            "the embedding of {image} has values that are NaN or infinite",
            batch.names,
            "repair or remove the image, or check the model's weights",
        )
        grid, device = batch.on_grid.shape[1:], self.distance.device
        embedding = rearrange(batch.embedding, "b s d h w -> b s (h w) d")
        images = zip(embedding, batch.on_grid, batch.labels, batch.indices, strict=True)
        for vectors, on_grid, labels, index in images:
            cells = (on_grid.flatten() != ignore_index).nonzero().flatten().to(device)
            if len(cells) == 0:
                continue
            distance, cell = self._nearest(vectors[:, cells], cells)
            classes = self.table.class_index
            own = _classes_of_cells(labels.to(device), grid, self.table.num_classes)[cell, classes]
            image = torch.full_like(cell, index)
            self._merge(distance[:, None], image[:, None], own[:, None])

    def merge_ranks(self) -> None:
        """Adopt the nearest patches of all ranks."""
        for tensors in gather((self.distance.cpu(), self.image.cpu(), self.own.cpu())):
            self._merge(*(tensor.to(self.distance.device) for tensor in tensors))

    def _nearest(self, vectors: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distance and the cell (P,) nearest to each prototype in an image.

        The image has the vectors (S, n, D) in cells (n,).
        """
        distance = torch.full_like(self.distance[:, 0], torch.inf)
        cell = torch.zeros_like(self.image[:, 0])
        for scale, of_scale in enumerate(vectors):
            rows = (self.table.scale_index == scale).nonzero().flatten()
            if len(rows) == 0:
                continue
            slot, position = possibly_nearest(*widen(of_scale, self.prototypes[rows]))
            pairs = of_scale[position].double(), self.prototypes[rows[slot]].double()
            exact = exact_squared_distances(*pairs)
            nearest = nearest_of_each(slot, exact, position[:, None], cells[position])
            _, distance[rows], _, cell[rows] = nearest
        return distance, cell

    def _merge(self, distance: Tensor, image: Tensor, own: Tensor) -> None:
        """Adopt the patches (P, n) that are nearer, of each image only the nearest."""
        known, count = (self.distance, self.image, self.own), self.distance.shape[1]
        joined = [torch.cat(pair, 1) for pair in zip(known, (distance, image, own), strict=True)]
        distance, image, own = _sorted_rows(_sorted_rows(joined, by=0), by=1)
        again = torch.zeros_like(own)
        again[:, 1:] = image[:, 1:] == image[:, :-1]
        once = [distance.masked_fill(again, torch.inf), image.masked_fill(again, -1), own & ~again]
        self.distance, self.image, self.own = (
            values[:, :count] for values in _sorted_rows(once, by=0)
        )


def _classes_of_cells(labels: Tensor, grid: tuple[int, ...], num_classes: int) -> Tensor:
    """Return which classes have a pixel in each cell of a grid over an image.

    Args:
        labels: Labels (H, W), classes and ignored values.
        grid: Height and width (h, w) of the grid.
        num_classes: Number of classes C.

    Returns:
        Whether the class has a pixel in the cell, bool (h * w, C).
    """
    height, width = (max(sizes) for sizes in zip(labels.shape, grid, strict=True))
    labels = labels_at(labels, (height, width))  # otherwise cells could be empty
    rows = _cells_along(height, grid[0]).to(labels.device)
    cols = _cells_along(width, grid[1]).to(labels.device)
    cells = rows[:, None] * grid[1] + cols
    found = torch.zeros(grid[0] * grid[1], num_classes, dtype=torch.bool, device=labels.device)
    known = (labels >= 0) & (labels < num_classes)
    found[cells[known], labels[known].long()] = True
    return found


def _cells_along(length: int, count: int) -> Tensor:
    """Return the cell of each of ``length`` pixels, where ``count`` cells share them."""
    starts = torch.arange(1, count) * length // count
    return torch.bucketize(torch.arange(length), starts, right=True)


def _sorted_rows(columns: list[Tensor], by: int) -> list[Tensor]:
    """Sort the rows of all tensors (P, n) by the values of one; equal values keep their order."""
    order = columns[by].argsort(dim=1, stable=True)
    return [values.gather(1, order) for values in columns]


def _warn_of_lost_classes(model: ScaleProtoSeg, lost: set[int]) -> None:
    if lost:
        names = [model.class_names[c] if model.class_names else str(c) for c in sorted(lost)]
        warnings.warn(
            f"pruning leaves no prototype of class {', '.join(names)}: its logits come from those "
            "of other classes alone",
            stacklevel=3,
        )
