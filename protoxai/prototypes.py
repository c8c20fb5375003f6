"""Prototypes: which class and scale each belongs to, and how close every pixel comes to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from protoxai.precision import widen, without_autocast


class Members(NamedTuple):
    """Prototype numbers sorted into equal rows, the short rows padded.

    Attributes:
        index: prototype numbers (rows, M), 0 where padded.
        mask: True (rows, M) where there is a prototype.
    """

    index: Tensor
    mask: Tensor


class PrototypeTable:
    """The record of which class and which scale every prototype belongs to.

    An immutable value: tables compare and hash by their content. Any arrangement is allowed, in
    any order, with uneven counts and with classes or scales that have no prototype; nothing is
    ever computed from a prototype's number.

    Args:
        class_index: class of each prototype, (P,), in ``0 .. num_classes - 1``.
        scale_index: scale of each prototype, (P,), in ``0 .. num_scales - 1``.
        num_classes: number of classes C.
        num_scales: number of scales S.

    Raises:
        TypeError: if an index is not integer.
        ValueError: if the indices differ in length, are empty or out of range.

    Example:
        >>> table = PrototypeTable.regular(num_classes=21, num_scales=4, per_scale=3)
        >>> len(table), table.counts.shape
        (252, torch.Size([21, 4]))
        >>> len(table.keep([0, 5, 7]))
        3
    """

    def __init__(
        self,
        class_index: Tensor | Sequence[int],
        scale_index: Tensor | Sequence[int],
        num_classes: int,
        num_scales: int,
    ) -> None:
        self.num_classes = _positive("num_classes", num_classes)
        self.num_scales = _positive("num_scales", num_scales)
        self._class_index = _indices("class_index", class_index, self.num_classes)
        self._scale_index = _indices("scale_index", scale_index, self.num_scales)
        if self._class_index.shape != self._scale_index.shape:
            raise ValueError(
                f"class_index has {len(self._class_index)} entries and scale_index "
                f"{len(self._scale_index)}: give one class and one scale for each prototype"
            )
        self._moved: dict[torch.device, PrototypeTable] = {}
        self._members: dict[str, Members] = {}

    @classmethod
    def regular(cls, num_classes: int, num_scales: int, per_scale: int) -> PrototypeTable:
        """Return the table with ``per_scale`` prototypes for each class at each scale.

        Scale-major: all prototypes of the first scale come first, class by class.
        """
        _positive("per_scale", per_scale)
        classes = torch.arange(_positive("num_classes", num_classes)).repeat_interleave(per_scale)
        scales = torch.arange(_positive("num_scales", num_scales))
        return cls(
            classes.repeat(num_scales),
            scales.repeat_interleave(len(classes)),
            num_classes,
            num_scales,
        )

    @property
    def class_index(self) -> Tensor:
        """Class of each prototype, int64 (P,); a copy."""
        return self._class_index.clone()

    @property
    def scale_index(self) -> Tensor:
        """Scale of each prototype, int64 (P,); a copy."""
        return self._scale_index.clone()

    @property
    def device(self) -> torch.device:
        """Device of the indices."""
        return self._class_index.device

    @property
    def counts(self) -> Tensor:
        """Number of prototypes of each class at each scale, int64 (C, S)."""
        counts = torch.zeros(self.num_classes, self.num_scales, dtype=torch.long)
        ones = torch.ones(len(self), dtype=torch.long)
        cells = (self._class_index.cpu(), self._scale_index.cpu())
        return counts.index_put_(cells, ones, accumulate=True).to(self.device)

    @property
    def classes(self) -> Tensor:
        """The classes that have a prototype, ascending, int64."""
        return self._class_index.unique()

    def members(self, by: str) -> Members:
        """Sort the prototypes into padded rows, table order kept within a row.

        Args:
            by: "class" (C rows), "scale" (S rows) or "cell": C·S rows, one for each class and
                scale, class-major.
        """
        if by not in self._members:
            key, rows = {
                "class": (self._class_index, self.num_classes),
                "scale": (self._scale_index, self.num_scales),
                "cell": (
                    self._class_index * self.num_scales + self._scale_index,
                    self.num_classes * self.num_scales,
                ),
            }[by]
            self._members[by] = _padded_rows(key, rows)
        return self._members[by]

    def keep(self, indices: Tensor | Sequence[int]) -> PrototypeTable:
        """Return the table of these prototypes only, in the order they have here.

        Args:
            indices: prototype numbers, each once, in any order.

        Raises:
            ValueError: if a number is out of range or comes twice, or none is left.
        """
        index = self.check_kept(indices)
        return PrototypeTable(
            self._class_index[index], self._scale_index[index], self.num_classes, self.num_scales
        )

    def check_kept(self, indices: Tensor | Sequence[int]) -> Tensor:
        """Return the numbers of prototypes to keep, sorted; raise ``ValueError`` if they do not fit."""
        index = _indices("indices of prototypes to keep", indices, len(self))
        unique = index.unique()
        if len(unique) != len(index):
            raise ValueError("indices of prototypes to keep hold a number twice: give each once")
        return unique.to(self.device)

    def to(self, device: torch.device | str) -> PrototypeTable:
        """Return the same table with its tensors on the device; cached."""
        device = torch.device(device)
        if device == self.device:
            return self
        if device not in self._moved:
            self._moved[device] = PrototypeTable(
                self._class_index.to(device),
                self._scale_index.to(device),
                self.num_classes,
                self.num_scales,
            )
        return self._moved[device]

    def to_config(self) -> dict[str, object]:
        """Return the table as plain numbers, for JSON."""
        return {
            "class_index": self._class_index.tolist(),
            "scale_index": self._scale_index.tolist(),
            "num_classes": self.num_classes,
            "num_scales": self.num_scales,
        }

    def __len__(self) -> int:
        return len(self._class_index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrototypeTable) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __reduce__(self) -> tuple[type[PrototypeTable], tuple[Tensor, Tensor, int, int]]:
        indices = (self._class_index, self._scale_index)
        return PrototypeTable, (*indices, self.num_classes, self.num_scales)

    def __repr__(self) -> str:
        return (
            f"PrototypeTable({len(self)} prototypes, num_classes={self.num_classes}, "
            f"num_scales={self.num_scales})"
        )

    def _content(self) -> tuple[object, ...]:
        classes, scales = tuple(self._class_index.tolist()), tuple(self._scale_index.tolist())
        return classes, scales, self.num_classes, self.num_scales


class PrototypeOutput(NamedTuple):
    """How close every pixel comes to every prototype.

    Attributes:
        distances: squared distances ``d`` (B, P, h, w), at least 0.
        activations: ``log((d + 1) / (d + epsilon))`` (B, P, h, w), in [0, log(1 / epsilon)].
    """

    distances: Tensor
    activations: Tensor


class MultiScalePrototypeLayer(nn.Module):
    """Compares every pixel's embedding at each scale with the prototypes of that scale.

    Computed in float32 or wider with autocast off. Source: Porta et al., WACV 2025
    (arXiv 2409.09497), section 3; the activation is ProtoPNet's (arXiv 1806.10574, section 2.1).

    Args:
        table: class and scale of each of the P prototypes.
        dim: length D of an embedding vector.
        epsilon: bounds the activation, in (0, 1).
        bounded: keep the prototypes in [0, 1], where a sigmoid's embedding lies, when
            :meth:`clamp_` is called after an optimizer step. The released method does not.

    Attributes:
        prototypes: the parameter (P, D), initialised uniformly in [0, 1).

    Example:
        >>> import torch
        >>> table = PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=4)
        >>> layer = MultiScalePrototypeLayer(table, dim=8)
        >>> layer(torch.rand(1, 3, 8, 5, 6)).activations.shape
        torch.Size([1, 24, 5, 6])
    """

    def __init__(
        self, table: PrototypeTable, dim: int, epsilon: float = 1e-4, bounded: bool = False
    ) -> None:
        super().__init__()
        if not 0 < epsilon < 1:
            raise ValueError(f"epsilon is {epsilon}, expected a number in (0, 1), such as 1e-4")
        self.epsilon = epsilon
        self.bounded = bounded
        self.prototypes = nn.Parameter(torch.rand(len(table), _positive("dim", dim)))
        self._set_table(table)

    @property
    def table(self) -> PrototypeTable:
        """Class and scale of each prototype."""
        return self._table

    @property
    def dim(self) -> int:
        """Length D of an embedding vector."""
        return self.prototypes.shape[1]

    def forward(self, embedding: Tensor) -> PrototypeOutput:
        """Compare embeddings with the prototypes.

        Args:
            embedding: (B, S, D, h, w), one vector for each pixel and scale.

        Raises:
            ValueError: if the embedding's shape does not fit the table and ``dim``.
        """
        distances = self.distances(embedding)
        return PrototypeOutput(distances, self.activation(distances))

    def distances(self, embedding: Tensor) -> Tensor:
        """Return the squared distances (B, P, h, w) by ``|z|^2 - 2 z.p + |p|^2``, at least 0."""
        self._check(embedding)
        with without_autocast(embedding):
            embedding, prototypes = widen(embedding, self.prototypes)
            vectors = embedding.flatten(3)
            lengths = vectors.square().sum(2)
            blocks = []
            for scale in range(self.table.num_scales):
                own = prototypes[self.get_buffer(f"_scale{scale}")]
                products = torch.matmul(own, vectors[:, scale])
                norms = lengths[:, scale, None] + own.square().sum(1)[:, None]
                blocks.append((norms - 2 * products).clamp_min(0))
            distances = torch.cat(blocks, 1)
            if not self._scale_major:
                distances = distances.index_select(1, self._position)
            return distances.unflatten(2, embedding.shape[3:])

    def activation(self, distances: Tensor) -> Tensor:
        """Return ``log((d + 1) / (d + epsilon))``, decreasing in the distance ``d``."""
        return torch.log((distances + 1) / (distances + self.epsilon))

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring the prototypes back into [0, 1] if the layer is ``bounded``; else do nothing."""
        if self.bounded:
            self.prototypes.clamp_(0, 1)

    def keep(self, indices: Tensor | Sequence[int]) -> None:
        """Drop all other prototypes, in place; ``prototypes`` becomes a new parameter."""
        index = self.table.check_kept(indices)
        kept = self.prototypes.detach()[index.to(self.prototypes.device)]
        self.prototypes = nn.Parameter(kept, requires_grad=self.prototypes.requires_grad)
        self._set_table(self.table.keep(index))

    def extra_repr(self) -> str:
        """Describe the layer's arguments."""
        bounded = ", bounded=True" if self.bounded else ""
        return f"{self.table}, dim={self.dim}, epsilon={self.epsilon}{bounded}"

    def _set_table(self, table: PrototypeTable) -> None:
        self._table = table.to("cpu")
        members = self._table.members("scale")
        rows = [index[mask] for index, mask in zip(*members, strict=True)]
        device = self.prototypes.device
        for scale, row in enumerate(rows):
            self.register_buffer(f"_scale{scale}", row.to(device), persistent=False)
        order = torch.cat(rows)
        self._position: Tensor
        self.register_buffer("_position", order.argsort().to(device), persistent=False)
        self._scale_major = bool((order == torch.arange(len(order))).all())

    def _check(self, embedding: Tensor) -> None:
        expected = (self.table.num_scales, self.dim)
        if embedding.dim() != 5 or embedding.shape[1:3] != expected:
            raise ValueError(
                f"embedding has shape {tuple(embedding.shape)}, expected (batch, "
                f"{expected[0]} scales, {expected[1]} channels, height, width): give one map per "
                "scale of the table, with `dim` channels"
            )


def _padded_rows(key: Tensor, rows: int) -> Members:
    order = key.argsort(stable=True)
    counts = torch.bincount(key, minlength=rows)
    starts = counts.cumsum(0) - counts
    sorted_key = key[order]
    rank = torch.arange(len(key), device=key.device) - starts[sorted_key]
    shape = (rows, int(counts.max()))
    index = torch.zeros(shape, dtype=torch.long, device=key.device)
    mask = torch.zeros(shape, dtype=torch.bool, device=key.device)
    index[sorted_key, rank] = order
    mask[sorted_key, rank] = True
    return Members(index, mask)


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name} is {value!r}, expected a whole number of at least 1")
    return int(value)


def _indices(name: str, values: Tensor | Sequence[int], limit: int) -> Tensor:
    index = torch.as_tensor(values)
    if index.dtype.is_floating_point or index.dtype.is_complex or index.dtype == torch.bool:
        if index.numel():
            raise TypeError(f"{name} holds {index.dtype}, expected whole numbers (int64)")
    if index.dim() != 1 or index.numel() == 0:
        raise ValueError(
            f"{name} has shape {tuple(index.shape)}, expected a list of at least one whole number"
        )
    index = index.detach().clone().long()
    if int(index.min()) < 0 or int(index.max()) >= limit:
        raise ValueError(
            f"{name} holds values from {int(index.min())} to {int(index.max())}, expected "
            f"0 to {limit - 1}"
        )
    return index
