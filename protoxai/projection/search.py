"""Search for the training patch nearest to each prototype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from protoxai.kernels import exact_squared_distances, squared_distances
from protoxai.kernels.reference import CENTRE
from protoxai.labels import check_ignore_index, check_labels
from protoxai.prototypes.layer import check_embedding
from protoxai.prototypes.provenance import Provenance
from protoxai.prototypes.table import PrototypeTable, check_table
from protoxai.runtime.checks import NOT_NEGATIVE, wholes_of
from protoxai.runtime.distributed import gather, is_distributed
from protoxai.runtime.finite import check_each, check_finite_weights
from protoxai.runtime.precision import widen
from protoxai.runtime.tensors import tensor


@dataclass(frozen=True)
class ProjectionRecord:
    """The patch nearest to each prototype.

    Attributes:
        image_index: Data set index of the image, int64 (P,); -1 if the class never occurred.
        row: Row on the feature grid, int64 (P,); -1 if the class never occurred.
        col: Column on the feature grid, int64 (P,); -1 if the class never occurred.
        distance: Squared distance, float64 (P,); infinite if the class never occurred.
        vector: Embedding of the patch, (P, D); the prototype itself if the class never occurred.
        kept: Indices of the prototypes that remain if, of bitwise equal vectors of one scale, only
            the first is kept.
        provenance: Provenance of the kept prototypes, if :func:`project_prototypes` made the
            record.
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
        """Whether the class of each prototype occurred, bool (P,)."""
        return self.image_index >= 0


class PrototypeSearch:
    """Streaming search for the embedding vector nearest to each prototype.

    Only pixels whose label is the prototype's class count. Ties go to the lowest image index,
    whatever the order of the images, then to the first position in row-major order. If
    ``torch.distributed`` is initialised, the search is over the images of all ranks. Memory does
    not grow with the number of images. Source: Sacha et al., WACV 2023 (arXiv 2301.12276), section
    3.1, per scale as in Porta et al., WACV 2025.

    Args:
        table: Class and scale of each prototype.
        prototypes: Prototypes (P, D).
        ignore_index: Label of pixels that do not count.

    Raises:
        ValueError: If the prototypes do not fit the table, or are NaN or infinite.

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
        hint = "one vector for each row of the table"
        count = len(check_table(table))
        tensor("prototypes", prototypes, "rows channels", hint=hint, sizes={"rows": count})
        self.ignore_index = check_ignore_index(ignore_index, table.num_classes)
        check_finite_weights({"prototypes": prototypes}, "the search")
        self.table = table.to(prototypes.device)
        self.prototypes = prototypes.detach().clone()
        shape = (table.num_classes, table.num_scales, -1)
        members = self.table.members("class_and_scale")
        self._members, self._is_member = (rows.view(shape) for rows in members)
        device = prototypes.device
        self.distance = torch.full((count,), torch.inf, dtype=torch.float64, device=device)
        # Image index, row and column, which break ties in this order.
        self.place = torch.full((count, 3), -1, dtype=torch.long, device=device)
        self.vector = self.prototypes.clone()

    @torch.no_grad()
    def update(
        self, embedding: Tensor, labels: Tensor, image_indices: Tensor | Sequence[int]
    ) -> Tensor:
        """Search a batch.

        Args:
            embedding: Embedding (B, S, D, h, w).
            labels: Labels on the embedding's grid, int64 (B, h, w).
            image_indices: Data set index of each image, (B,).

        Returns:
            Indices of the prototypes whose nearest patch is now in this batch, int64.

        Raises:
            ValueError: If shapes do not fit or a label is not a class.
            NotFiniteError: If a value of the embedding is NaN or infinite; nothing is searched.
        """
        check_embedding(embedding, self.table.num_scales, self.prototypes.shape[1])
        batch, _, _, height, width = embedding.shape
        sizes = {"batch": batch, "height": height, "width": width}
        hint = "on the grid of the embedding"
        tensor("embedding", embedding)
        tensor("labels", labels, "batch height width", "integers", hint=hint, sizes=sizes)
        check_labels(labels, self.table.num_classes, self.ignore_index)
        device = self.prototypes.device
        embedding, labels = embedding.to(device), labels.to(device)
        images = torch.tensor(
            wholes_of("image_indices", image_indices, len(labels), NOT_NEGATIVE), device=device
        )
        check_each(
            embedding,
            "the embedding of {image} has values that are NaN or infinite",
            images.tolist(),
            "repair or remove the image, or check the model's weights",
        )
        candidates = self._candidates(embedding, labels)
        return self._merge(*nearest_of_each(*self._measure(embedding, candidates, images)))

    def compute(self) -> ProjectionRecord:
        """Return the nearest patches so far, over all ranks."""
        if is_distributed():
            self._merge_ranks()
        image, row, col = self.place.unbind(1)
        kept = _without_duplicates(self.table.scale_index, self.vector)
        return ProjectionRecord(
            image.clone(),
            row.clone(),
            col.clone(),
            self.distance.clone(),
            self.vector.clone(),
            kept,
        )

    def _candidates(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """Return image, prototype and position (n, 3) of all patches that may be the nearest.

        Pixels of a class are compared with its own prototypes only.
        """
        flat = labels.flatten(1)
        vectors, prototypes = widen(embedding, self.prototypes)
        columns = rearrange(vectors, "b s d h w -> s b (h w) d").contiguous()
        candidates = [torch.empty(0, 3, dtype=torch.long, device=labels.device)]
        for class_index in flat.unique().tolist():
            if class_index == self.ignore_index or not bool(self._is_member[class_index].any()):
                continue
            image, position = (flat == class_index).nonzero(as_tuple=True)
            scales = zip(self._members[class_index], self._is_member[class_index], strict=True)
            for scale, (members, is_member) in enumerate(scales):
                own, pixels = members[is_member], columns[scale][image, position]
                if len(own) == 0:
                    continue
                slot, pixel = possibly_nearest(pixels, prototypes[own], self.distance[own])
                candidates.append(torch.stack([image[pixel], own[slot], position[pixel]], 1))
        return torch.cat(candidates)

    def _measure(
        self, embedding: Tensor, candidates: Tensor, images: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return prototype, exact distance, place and vector of each candidate."""
        image, prototype, position = candidates.unbind(1)
        width = embedding.shape[4]
        row, col = position // width, position % width
        vector = embedding[image, self.table.scale_index[prototype], :, row, col]
        place = torch.stack([images[image], row, col], 1)
        distance = exact_squared_distances(vector.double(), self.prototypes[prototype].double())
        return prototype, distance, place, vector.to(self.vector)

    def _merge(self, prototype: Tensor, distance: Tensor, place: Tensor, vector: Tensor) -> Tensor:
        """Adopt the patches that are nearer, at most one per prototype; return their prototypes."""
        nearest, known = self.distance[prototype], self.place[prototype]
        better = (distance < nearest) | ((distance == nearest) & _precedes(place, known))
        prototype = prototype[better]
        self.distance[prototype] = distance[better]
        self.place[prototype] = place[better]
        self.vector[prototype] = vector[better]
        return prototype

    def _merge_ranks(self) -> None:
        own = (self.distance.cpu(), self.place.cpu(), self.vector.cpu())
        for tensors in gather(own):
            distance, place, vector = (tensor.to(self.prototypes.device) for tensor in tensors)
            index = (place[:, 0] >= 0).nonzero().flatten()
            self._merge(index, distance[index], place[index], vector[index])


def possibly_nearest(
    vectors: Tensor, prototypes: Tensor, at_most: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the pairs that may turn out to be the nearest once distances are computed exactly.

    The fast distances are rounded, so these are all pairs within the rounding error of each
    prototype's smallest distance.

    Args:
        vectors: Embedding vectors (n, D), n at least 1.
        prototypes: Prototypes (m, D).
        at_most: Squared distances (m,) already reached, which the pairs have to reach as well.

    Returns:
        Indices of the prototypes and of the vectors, both (pairs,).
    """
    distances = squared_distances(rearrange(vectors, "n d -> 1 d 1 n"), prototypes)[0, :, 0]
    smallest = distances.amin(1)
    if at_most is not None:
        smallest = torch.minimum(smallest, at_most.to(distances))
    rounding = torch.finfo(distances.dtype).eps * (vectors.shape[-1] + 2)
    margin = rounding * (_longest(vectors) + _longest(prototypes))
    prototype, vector = (distances <= smallest[:, None] + margin).nonzero(as_tuple=True)
    return prototype, vector


def _longest(vectors: Tensor) -> Tensor:
    """Return the largest squared length of vectors (n, D), from the origin of the distances."""
    lengths: Tensor = torch.linalg.vector_norm(vectors - CENTRE, dim=1)
    return lengths.amax().square()


def _precedes(first: Tensor, second: Tensor) -> Tensor:
    """Return whether rows (n, 3) precede others in lexicographic order."""
    differs = first != second
    at = differs.int().argmax(1, keepdim=True)
    return (first.gather(1, at) < second.gather(1, at)).squeeze(1)


def nearest_of_each(
    prototype: Tensor, distance: Tensor, place: Tensor, content: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keep the first candidate of each prototype, by distance and then by place.

    Args:
        prototype: Index (n,) of each candidate's prototype.
        distance: Squared distances (n,).
        place: Integers (n, k), of which the first matter most.
        content: What the candidates hold, (n, ...).

    Returns:
        The four of the candidates that are kept, in the order of the prototypes.
    """
    order = torch.arange(len(prototype), device=prototype.device)
    for key in (*place.flip(1).unbind(1), distance, prototype):
        order = order[key[order].argsort(stable=True)]
    ordered = prototype[order]
    is_first = torch.ones_like(ordered, dtype=torch.bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    first = order[is_first]
    return prototype[first], distance[first], place[first], content[first]


def _without_duplicates(scale: Tensor, vector: Tensor) -> Tensor:
    """Return the indices of all but repeated, bitwise equal vectors of one scale, ascending."""
    # Vectors are compared as bytes, because numpy has no bfloat16.
    rows = [t.detach().cpu().contiguous().view(torch.uint8) for t in (vector, scale[:, None])]
    _, first = np.unique(torch.cat(rows, 1).numpy(), axis=0, return_index=True)
    return torch.from_numpy(np.sort(first)).to(vector.device)
