"""The search for the training patch nearest to each prototype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from protoxai.kernels.reference import against_squares, with_squares
from protoxai.labels import check_labels
from protoxai.prototypes.layer import check_embedding
from protoxai.prototypes.provenance import Provenance
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.distributed import gather, is_distributed
from protoxai.runtime.precision import widen


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
        self._rows = against_squares(*widen(self.prototypes))
        shape = (table.num_classes, table.num_scales, -1)
        self._numbers, self._present = (rows.view(shape) for rows in self.table.members("cell"))
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
        check_embedding(embedding, self.table.num_scales, self.prototypes.shape[1])
        check_labels(labels, self.table.num_classes, self.ignore_index)
        candidates = self._candidates(embedding, labels)
        found = self._exact(embedding, candidates, images)
        return self._merge(*_nearest(*found))

    def compute(self) -> ProjectionRecord:
        """Return what was found so far, over all ranks."""
        if is_distributed():
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

        A class's pixels are compared with its own prototypes only. These fast distances are
        rounded; whoever is within their rounding error of the smallest is measured exactly after.
        """
        flat = labels.flatten(1)
        columns = with_squares(embedding.flatten(3).to(self._rows)).transpose(1, 3)
        rounding = torch.finfo(columns.dtype).eps * columns.shape[2]
        found = [torch.empty(0, 3, dtype=torch.long, device=labels.device)]
        for class_index in flat.unique().tolist():
            if class_index == self.ignore_index or not bool(self._present[class_index].any()):
                continue
            image, position = (flat == class_index).nonzero(as_tuple=True)
            own, present = self._numbers[class_index], self._present[class_index]
            vectors = columns[image, position].permute(2, 1, 0)
            distances = torch.bmm(self._rows[own], vectors)
            smallest = torch.minimum(distances.amin(2), self.distance[own].to(distances.dtype))[
                ..., None
            ]
            longest = vectors[:, -2].amax() + self._rows[own][..., -1].amax()
            near = (distances <= smallest + rounding * longest) & present[..., None]
            scale, slot, pixel = near.nonzero(as_tuple=True)
            found.append(torch.stack([image[pixel], own[scale, slot], position[pixel]], 1))
        return torch.cat(found)

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
        for theirs in gather(mine):
            distance, place, vector = (tensor.to(self.prototypes.device) for tensor in theirs)
            found = (place[:, 0] >= 0).nonzero().flatten()
            self._merge(found, distance[found], place[found], vector[found])


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
    # Bytes, because numpy has no bfloat16.
    rows = [t.detach().cpu().contiguous().view(torch.uint8) for t in (vector, scale[:, None])]
    _, first = np.unique(torch.cat(rows, 1).numpy(), axis=0, return_index=True)
    return torch.from_numpy(np.sort(first)).to(vector.device)
