"""The table: which class and which scale every prototype belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from protoxai.runtime.checks import Range, choice, instance, shown, whole

# Longer tables of no regular arrangement are abbreviated in representations.
LONG = 32
# Larger numbers are mistakes, and would need more memory than there is.
CLASSES, SCALES, PER_SCALE = (Range(least=1, most=most) for most in (100_000, 1000, 1000))
GROUPINGS = ("class", "scale", "class_and_scale")


class Members(NamedTuple):
    """Prototype indices grouped into rows of equal length, padded.

    Attributes:
        indices: Indices of the prototypes, int64 (rows, M), 0 where padded.
        mask: Whether an entry is a prototype rather than padding, bool (rows, M).
    """

    indices: Tensor
    mask: Tensor


class PrototypeTable:
    """The record of which class and which scale every prototype belongs to.

    A table is an immutable value that compares and hashes by its content. Prototypes may have any
    order and uneven counts, and classes or scales may have none; nothing is ever computed from a
    prototype's index.

    Args:
        class_index: Class of each prototype, (P,), in ``0 .. num_classes - 1``.
        scale_index: Scale of each prototype, (P,), in ``0 .. num_scales - 1``.
        num_classes: Number of classes C.
        num_scales: Number of scales S.

    Raises:
        TypeError: If the indices are not integers.
        ValueError: If the indices differ in length, are empty or out of range.

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
        self._num_classes = whole("num_classes", num_classes, CLASSES)
        self._num_scales = whole("num_scales", num_scales, SCALES)
        self._class_index = _indices("class_index", class_index, self.num_classes)
        self._scale_index = _indices("scale_index", scale_index, self.num_scales)
        if self._class_index.shape != self._scale_index.shape:
            raise ValueError(
                f"class_index has {len(self._class_index)} entries and scale_index "
                f"{len(self._scale_index)}: give one class and one scale for each prototype"
            )
        self._moved: dict[torch.device, PrototypeTable] = {}
        # These are computed now, because a compiled graph could not find out how long the rows are.
        self._members = {
            "class": _padded_rows(self._class_index, self.num_classes),
            "scale": _padded_rows(self._scale_index, self.num_scales),
            "class_and_scale": _padded_rows(
                self._class_index * self.num_scales + self._scale_index,
                self.num_classes * self.num_scales,
            ),
        }

    @classmethod
    def regular(cls, num_classes: int, num_scales: int, per_scale: int) -> PrototypeTable:
        """Return the table with ``per_scale`` prototypes for each class at each scale.

        The order is scale-major: all prototypes of the first scale come first, class by class.

        Args:
            num_classes: Number of classes C.
            num_scales: Number of scales S.
            per_scale: Number of prototypes of each class at each scale.
        """
        per_scale = whole("per_scale", per_scale, PER_SCALE)
        num_classes = whole("num_classes", num_classes, CLASSES)
        classes = torch.arange(num_classes).repeat_interleave(per_scale)
        scales = torch.arange(whole("num_scales", num_scales, SCALES))
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
    def num_classes(self) -> int:
        """Number of classes C."""
        return self._num_classes

    @property
    def num_scales(self) -> int:
        """Number of scales S."""
        return self._num_scales

    @property
    def device(self) -> torch.device:
        """Device of the indices."""
        return self._class_index.device

    @property
    def counts(self) -> Tensor:
        """Number of prototypes of each class at each scale, int64 (C, S)."""
        counts = torch.zeros(self.num_classes, self.num_scales, dtype=torch.long)
        ones = torch.ones(len(self), dtype=torch.long)
        pairs = (self._class_index.cpu(), self._scale_index.cpu())
        return counts.index_put_(pairs, ones, accumulate=True).to(self.device)

    @property
    def classes(self) -> Tensor:
        """The classes that have a prototype, ascending, int64."""
        classes: Tensor = self._class_index.unique()
        return classes

    def members(self, by: Literal["class", "scale", "class_and_scale"]) -> Members:
        """Group the prototypes by class, by scale or by both; each row keeps the table's order.

        Args:
            by: "class" (C rows), "scale" (S rows) or "class_and_scale" (C·S rows, class-major).
        """
        return Members(*(rows.clone() for rows in self._members[choice("by", by, GROUPINGS)]))

    def keep(self, indices: Tensor | Sequence[int]) -> PrototypeTable:
        """Return the table of these prototypes only, in the order they have here.

        Args:
            indices: Indices of the prototypes to keep, each once, in any order.

        Raises:
            ValueError: If an index is out of range or repeated, or there is none.
        """
        index = self.check_kept(indices)
        return PrototypeTable(
            self._class_index[index], self._scale_index[index], self.num_classes, self.num_scales
        )

    def check_kept(self, indices: Tensor | Sequence[int]) -> Tensor:
        """Return indices of prototypes to keep, sorted, or raise ``ValueError`` if one is wrong."""
        index = _indices("indices of prototypes to keep", indices, len(self))
        unique: Tensor = index.unique()
        if len(unique) != len(index):
            raise ValueError("indices of prototypes to keep hold one twice: give each once")
        return unique.to(self.device)

    def to(self, device: torch.device | str) -> PrototypeTable:
        """Return the same table with its tensors on the device; cached."""
        device = torch.device(device)
        if device == self.device:
            return self
        if device not in self._moved:
            # The constructor is avoided: its checks wait for the device and break a compiled graph.
            moved = object.__new__(PrototypeTable)
            moved._num_classes, moved._num_scales = self._num_classes, self._num_scales
            moved._class_index = self._class_index.to(device)
            moved._scale_index = self._scale_index.to(device)
            moved._moved = {}
            moved._members = {
                by: Members(*(tensor.to(device) for tensor in rows))
                for by, rows in self._members.items()
            }
            self._moved[device] = moved
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
        size = f"num_classes={self.num_classes}, num_scales={self.num_scales}"
        per_scale = int(self.counts[0, 0])
        if per_scale and self == PrototypeTable.regular(
            self.num_classes, self.num_scales, per_scale
        ):
            return f"PrototypeTable.regular({size}, per_scale={per_scale})"
        if len(self) > LONG:
            return f"PrototypeTable({len(self)} prototypes, {size})"
        classes, scales = self._class_index.tolist(), self._scale_index.tolist()
        return f"PrototypeTable({classes}, {scales}, {size})"

    def _content(self) -> tuple[object, ...]:
        classes, scales = tuple(self._class_index.tolist()), tuple(self._scale_index.tolist())
        return classes, scales, self.num_classes, self.num_scales


def check_table(table: PrototypeTable, name: str = "table") -> PrototypeTable:
    """Return a table, or raise ``TypeError`` if it is something else."""
    return instance(name, table, PrototypeTable, "such as model.table or PrototypeTable.regular()")


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


def _indices(name: str, values: Tensor | Sequence[int], limit: int) -> Tensor:
    try:
        index = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} is {shown(values)}, expected a list of whole numbers") from None
    whole = not (index.is_floating_point() or index.is_complex() or index.dtype == torch.bool)
    if index.numel() and not whole:
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
