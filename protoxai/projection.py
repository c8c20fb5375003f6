"""Projection: every prototype becomes the nearest patch of its class in the training images."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from protoxai.active_region import ActiveRegions, patch_box
from protoxai.labels import check_labels, labels_at
from protoxai.model import ScaleProtoSeg
from protoxai.prototypes import MultiScalePrototypeLayer
from protoxai.provenance import Provenance
from protoxai.segmenter import evaluating
from protoxai.table import PrototypeTable


@dataclass(frozen=True)
class ProjectionRecord:
    """The patch nearest to each prototype.

    Attributes:
        image_index: data set index of the image, int64 (P,); -1 where the class never occurred.
        row: row on the feature grid, int64 (P,); -1 likewise.
        col: column, int64 (P,); -1 likewise.
        distance: squared distance, float64 (P,); infinite likewise.
        vector: the embedding there (P, D); the prototype itself where the class never occurred.
        kept: indices left after bitwise equal vectors of one scale have gone, the first staying.
        provenance: of the kept prototypes, where :func:`project_prototypes` made the record.
    """

    image_index: Tensor
    row: Tensor
    col: Tensor
    distance: Tensor
    vector: Tensor
    kept: Tensor
    provenance: tuple[Provenance, ...] = ()

    @property
    def projected(self) -> Tensor:
        """Whether each prototype found a patch, bool (P,)."""
        return self.image_index >= 0


class PrototypeSearch:
    """Finds, over a stream of images, the embedding vector nearest to each prototype.

    Only pixels whose label is the prototype's class count. Ties go to the lowest image index,
    whatever the order of arrival, then to the first position in row-major order; over all ranks,
    where ``torch.distributed`` is initialised. Memory does not grow with the number of images.
    Source: Sacha et al., WACV 2023 (arXiv 2301.12276), section 3.1, per scale as in Porta et al.,
    WACV 2025.

    Args:
        table: class and scale of each prototype.
        prototypes: (P, D).
        ignore_index: label of pixels that do not count.

    Example:
        >>> import torch
        >>> table = PrototypeTable([0, 1], [0, 0], num_classes=2, num_scales=1)
        >>> search = PrototypeSearch(table, torch.tensor([[0.0], [1.0]]))
        >>> embedding = torch.tensor([0.1, 0.2, 0.7]).view(1, 1, 1, 1, 3)
        >>> _ = search.update(embedding, torch.tensor([[[0, 0, 1]]]), [5])
        >>> search.compute().col
        tensor([0, 2])
    """

    def __init__(
        self, table: PrototypeTable, prototypes: Tensor, *, ignore_index: int = 255
    ) -> None:
        if prototypes.dim() != 2 or len(prototypes) != len(table):
            raise ValueError(
                f"prototypes have shape {tuple(prototypes.shape)}, expected ({len(table)}, D): one "
                "vector for each row of the table"
            )
        self.table = table.to(prototypes.device)
        self.prototypes = prototypes.detach().clone()
        self.ignore_index = ignore_index
        self._layer = MultiScalePrototypeLayer(table, prototypes.shape[1]).to(prototypes)
        self._layer.prototypes.data.copy_(self.prototypes)
        count = len(table)
        device = prototypes.device
        self.distance = torch.full((count,), torch.inf, dtype=torch.float64, device=device)
        # Image index, row and column: in this order they break ties.
        self.place = torch.full((count, 3), -1, dtype=torch.long, device=device)
        self.vector = self.prototypes.clone()

    @torch.no_grad()
    def update(
        self, embedding: Tensor, labels: Tensor, image_indices: Tensor | Sequence[int]
    ) -> Tensor:
        """Search a batch.

        Args:
            embedding: (B, S, D, h, w).
            labels: int64 (B, h, w), on the embedding's grid.
            image_indices: data set index of each image, (B,).

        Returns:
            The prototypes for which a nearer patch was found, int64.

        Raises:
            ValueError: if shapes do not fit or a label is no class.
        """
        device = self.prototypes.device
        embedding, labels = embedding.to(device), labels.to(device)
        images = torch.as_tensor(image_indices, device=device).long()
        if labels.shape != embedding.shape[:1] + embedding.shape[3:] or len(images) != len(labels):
            raise ValueError(
                f"embedding {tuple(embedding.shape)}, labels {tuple(labels.shape)} and "
                f"{len(images)} image indices do not fit: expected (B, S, D, h, w), (B, h, w), B"
            )
        check_labels(labels, self.table.num_classes, self.ignore_index)
        candidates = self._candidates(embedding, labels)
        found = self._exact(embedding, candidates, images)
        return self._merge(*_nearest(*found))

    def compute(self) -> ProjectionRecord:
        """Return what was found so far, over all ranks."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            self._merge_ranks()
        image, row, col = self.place.unbind(1)
        kept = _first_of_equals(self.table.scale_index, self.vector)
        return ProjectionRecord(
            image.clone(),
            row.clone(),
            col.clone(),
            self.distance.clone(),
            self.vector.clone(),
            kept,
        )

    def _candidates(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """Return (image in batch, prototype, position) of all that may be the nearest: (n, 3).

        The fast distances carry a rounding error that depends on the batch; whoever is within it
        of the smallest is measured exactly after.
        """
        distances = self._layer.distances(embedding).flatten(2)
        own = labels.flatten(1)[:, None] == self.table.class_index[:, None]
        distances = distances.where(own, torch.inf)
        smallest = distances.amin(2, keepdim=True)
        length = embedding.square().sum(2).amax() + self.prototypes.square().sum(1).amax()
        rounding = 16 * torch.finfo(distances.dtype).eps * length.to(distances)
        bound = torch.minimum(smallest, self.distance[:, None].to(distances.dtype)) + rounding
        return (own & (distances <= bound)).nonzero()

    def _exact(
        self, embedding: Tensor, candidates: Tensor, images: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Measure candidates exactly: their prototype, distance, place and vector."""
        image, prototype, position = candidates.unbind(1)
        width = embedding.shape[4]
        row, col = position // width, position % width
        vector = embedding[image, self.table.scale_index[prototype], :, row, col]
        difference = vector.double() - self.prototypes[prototype].double()
        place = torch.stack([images[image], row, col], 1)
        return prototype, difference.square().sum(1), place, vector.to(self.vector)

    def _merge(self, prototype: Tensor, distance: Tensor, place: Tensor, vector: Tensor) -> Tensor:
        """Take over what is nearer; each prototype comes once. Return those that moved."""
        best, known = self.distance[prototype], self.place[prototype]
        better = (distance < best) | ((distance == best) & _precedes(place, known))
        prototype = prototype[better]
        self.distance[prototype] = distance[better]
        self.place[prototype] = place[better]
        self.vector[prototype] = vector[better]
        return prototype

    def _merge_ranks(self) -> None:
        mine = (self.distance.cpu(), self.place.cpu(), self.vector.cpu())
        everyone: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(everyone, mine)
        for theirs in everyone:
            distance, place, vector = (tensor.to(self.prototypes.device) for tensor in theirs)
            found = (place[:, 0] >= 0).nonzero().flatten()
            self._merge(found, distance[found], place[found], vector[found])


def project_prototypes(
    model: ScaleProtoSeg,
    batches: Iterable[Mapping[str, Any] | Sequence[Any]],
    *,
    ignore_index: int = 255,
) -> ProjectionRecord:
    """Replace every prototype by the nearest patch of its class, and drop duplicates.

    The layer, the table and the head shrink together; the provenance is stored in the model.

    Args:
        model: in stage 1.
        batches: over all training images, whole (not padded or cropped): mappings with "image"
            (B, 3, H, W), "labels" (B, H', W') and, if known, "index" (data set indices) and "id"
            (names); or tuples (images, labels) or (images, labels, indices). Without indices, the
            images are counted. Boxes are in pixels of the labels.
        ignore_index: label of pixels that do not count.

    Returns:
        The record of all prototypes as they were before duplicates went.

    Raises:
        ValueError: if the model is in stage 2, or a batch does not fit.

    Warns:
        UserWarning: if a class never occurs; its prototypes keep their vectors.

    Example:
        >>> import torch
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> batch = (torch.rand(2, 3, 32, 40), torch.randint(0, 2, (2, 32, 40)))
        >>> record = project_prototypes(model, [batch])
        >>> len(record.kept) == len(model.table) == len(model.provenance)
        True
    """
    if model.grouped:
        raise ValueError(
            "projection is for stage 1, but the model is in stage 2: project before model.group()"
        )
    prototypes = model.prototype_layer.prototypes
    search = PrototypeSearch(model.table, prototypes, ignore_index=ignore_index)
    regions = ActiveRegions(model.table, prototypes, model.prototype_layer.activation)
    counted = 0
    with evaluating(model), torch.no_grad():
        for batch in batches:
            images, labels, indices, names = _unpack(batch, counted)
            counted += len(images)
            check_labels(labels, model.num_classes, ignore_index)
            embedding = model.embed(images.to(prototypes.device))
            on_grid = labels_at(labels, (embedding.shape[3], embedding.shape[4]))
            moved = search.update(embedding, on_grid, indices)
            regions.remember(moved, search.place[moved], embedding, labels, indices, names)
    if counted == 0:
        raise ValueError("there was no batch to project on: give a loader over training images")
    record = search.compute()
    regions.merge_ranks(record.image_index)
    provenance = _provenance(record, regions)
    with torch.no_grad():
        prototypes.copy_(record.vector)
    model.keep_prototypes(record.kept)
    model.provenance = provenance
    _warn_of_absent_classes(model, record, search.table)
    return replace(record, provenance=provenance)


def _precedes(first: Tensor, second: Tensor) -> Tensor:
    """Compare rows (n, 3) lexicographically."""
    differs = first != second
    at = differs.int().argmax(1, keepdim=True)
    return (first.gather(1, at) < second.gather(1, at)).squeeze(1)


def _nearest(
    prototype: Tensor, distance: Tensor, place: Tensor, vector: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keep the first candidate of each prototype by distance, then image, row, column."""
    order = torch.arange(len(prototype), device=prototype.device)
    for key in (*place.flip(1).unbind(1), distance, prototype):
        order = order[key[order].argsort(stable=True)]
    ordered = prototype[order]
    is_first = torch.ones_like(ordered, dtype=torch.bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    first = order[is_first]
    return prototype[first], distance[first], place[first], vector[first]


def _first_of_equals(scale: Tensor, vector: Tensor) -> Tensor:
    """Return the numbers of the first of bitwise equal vectors of one scale, ascending."""
    content = np.ascontiguousarray(vector.detach().cpu().numpy()).view(np.uint8)
    scales = np.ascontiguousarray(scale.cpu().numpy()[:, None]).view(np.uint8)
    rows = np.concatenate([content, scales], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    return torch.from_numpy(np.sort(first)).to(vector.device)


def _unpack(
    batch: Mapping[str, Any] | Sequence[Any], counted: int
) -> tuple[Tensor, Tensor, list[int], list[str]]:
    if isinstance(batch, Mapping):
        images, labels = batch["image"], batch["labels"]
        indices, names = batch.get("index"), batch.get("id")
    elif 2 <= len(batch) <= 3:
        images, labels, indices, names = (*batch, None, None)[:4]
    else:
        raise ValueError(
            f"a batch has {len(batch)} parts, expected (images, labels), (images, labels, indices) "
            'or a mapping with "image", "labels", "index" and "id"'
        )
    if labels.dim() != 3 or len(labels) != len(images):
        raise ValueError(
            f"a batch has images {tuple(images.shape)} and labels {tuple(labels.shape)}, expected "
            "(B, 3, H, W) and (B, H, W)"
        )
    if indices is None:
        indices = range(counted, counted + len(images))
    numbers = [int(index) for index in indices]
    return images, labels, numbers, [str(n) for n in (numbers if names is None else names)]


def _provenance(record: ProjectionRecord, regions: ActiveRegions) -> tuple[Provenance, ...]:
    entries = []
    for number in record.kept.tolist():
        seen = regions.seen.get(number)
        if seen is None:
            entries.append(Provenance(projected=False))
            continue
        row, col = int(record.row[number]), int(record.col[number])
        entries.append(
            Provenance(
                projected=True,
                image_index=int(record.image_index[number]),
                image_id=seen.name,
                row=row,
                col=col,
                grid=seen.grid,
                distance=float(record.distance[number]),
                patch=patch_box(row, col, seen.grid, seen.size),
                active_region=seen.active_region(row, col),
            )
        )
    return tuple(entries)


def _warn_of_absent_classes(
    model: ScaleProtoSeg, record: ProjectionRecord, table: PrototypeTable
) -> None:
    absent = table.class_index[~record.projected].unique().tolist()
    if absent:
        names = [model.class_names[c] if model.class_names else str(c) for c in absent]
        warnings.warn(
            f"no pixel of class {', '.join(names)} occurred: its prototypes were not projected and "
            "show no training patch",
            stacklevel=3,
        )
