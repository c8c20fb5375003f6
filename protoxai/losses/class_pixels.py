"""Gather, at each pixel, the maps of its own class's prototypes, and sum them by class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from protoxai.labels import check_ignore_index, check_labels
from protoxai.prototypes.table import PrototypeTable, check_table
from protoxai.runtime.distributed import mean_over_processes
from protoxai.runtime.precision import widen
from protoxai.runtime.tensors import tensor


class OwnClassPixels:
    """The labelled pixels of a batch, with the values of their own class's prototypes.

    The prototypes of a class fill S x K *slots*, where K is the largest number of prototypes of a
    class at a scale; empty slots are masked. Images, classes, slots and pixels are dimensions of
    tensors, so there are no loops.

    Args:
        labels: Labels, int64 (B, h, w): classes ``0 .. C - 1`` or ``ignore_index``.
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.

    Attributes:
        slots: Whether a slot holds a prototype, bool (C, S, K).
        prototypes: Index of the prototype in each slot, int64 (C, S, K), 0 in empty slots.
        classes: Class of each pixel, int64 (B, 1, h*w). Ignored pixels have the additional class C,
            which is dropped after every sum.
        pixels: Number of labelled pixels of each class, |U|, float32 (B, C).
    """

    def __init__(self, labels: Tensor, table: PrototypeTable, ignore_index: int) -> None:
        check_table(table)
        check_labels(labels, table.num_classes, ignore_index, dims="batch height width")
        self.table = table = table.to(labels.device)
        self._size, self._device = labels.shape, labels.device
        shape = (table.num_classes, table.num_scales, -1)
        members = table.members("class_and_scale")
        self.slots = members.mask.view(shape)
        self.prototypes = members.indices.view(shape)
        flat = labels.flatten(1).long()
        counted = (flat >= 0) & (flat < table.num_classes)
        self.classes = flat.where(counted, table.num_classes)[:, None]
        self.pixels = self.sum(torch.ones_like(self.classes, dtype=torch.float32))[:, 0]

    def check(self, name: str, maps: Tensor) -> Tensor:
        """Return maps in float32 or wider, or raise an error if they are not (B, P, h, w)."""
        batch, height, width = self._size
        tensor(
            name,
            maps,
            "batch prototypes height width",
            meta=True,
            hint="one map per row of the table, on the grid of the labels; sample the labels with "
            "protoxai.labels.labels_at",
            sizes={"batch": batch, "prototypes": len(self.table), "height": height, "width": width},
        )
        check_device(name, maps, self._device)
        return widen(maps)[0]

    def gather(self, name: str, maps: Tensor) -> Tensor:
        """Return the values (B, S*K, h*w) of each pixel's own class in maps (B, P, h, w).

        Values in empty slots and at ignored pixels are arbitrary. The name is for the error if the
        maps do not fit.
        """
        maps = self.check(name, maps)
        index = self.prototypes.flatten(1)
        index = torch.cat([index, index.new_zeros(1, index.shape[1])])
        chosen = index.T.index_select(1, self.classes.flatten())
        prototypes = chosen.view(-1, len(maps), self.classes.shape[2]).transpose(0, 1)
        return maps.flatten(2).gather(1, prototypes)

    def sum(self, values: Tensor) -> Tensor:
        """Sum values (B, Q, h*w) over the pixels of each class, to (B, Q, C)."""
        index = self.classes.expand_as(values)
        sums = values.new_zeros(*values.shape[:2], self.table.num_classes + 1)
        return sums.scatter_add(2, index, values)[..., :-1]

    def amax(self, values: Tensor) -> Tensor:
        """Return the maximum (B, Q, C) of values (B, Q, h*w) over the pixels of each class.

        It is -inf for a class without pixels.
        """
        largest = values.new_full((*values.shape[:2], self.table.num_classes + 1), -torch.inf)
        index = self.classes.expand_as(values)
        return largest.scatter_reduce(2, index, values, "amax")[..., :-1]

    def spread(self, per_class: Tensor) -> Tensor:
        """Return the value (B, Q, h*w) of each pixel's class among (B, Q, C); 0 if ignored."""
        padded = torch.nn.functional.pad(per_class, (0, 1))
        return padded.gather(2, self.classes.expand(-1, per_class.shape[1], -1))

    def log_softmax(self, values: Tensor) -> Tensor:
        """Return the log-softmax of values (B, Q, h*w) over the pixels of each class.

        At ignored pixels it is arbitrary, but finite.
        """
        largest = self.amax(values.detach())
        shifted = values - self.spread(largest.where(largest > -torch.inf, 0))
        shifted = shifted.where(self.classes < self.table.num_classes, 0)
        total = self.sum(shifted.exp())
        return shifted - self.spread(total.where(total > 0, 1).log())


def check_device(name: str, maps: Tensor, device: torch.device) -> None:
    """Raise ``ValueError`` unless maps are on the device of the labels."""
    if maps.device != device:
        raise ValueError(
            f"{name} are on {maps.device} and labels on {device}: move the labels with "
            "labels.to(device)"
        )


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the values where the mask is True, over all processes that train together.

    If the mask is False everywhere, the mean is 0, with a gradient of 0.

    Args:
        values: Values of any shape.
        mask: Mask, bool, broadcastable to the values.
    """
    mask = mask.expand_as(values)
    return mean_over_processes(values.where(mask, 0).sum(), mask.sum().to(values.dtype))


class TableLoss(nn.Module):
    """Base of the loss modules over the maps of each pixel's own class.

    Args:
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.
    """

    def __init__(self, table: PrototypeTable, ignore_index: int = 255) -> None:
        super().__init__()
        self.table = check_table(table)
        self.ignore_index = check_ignore_index(ignore_index, table.num_classes)

    def extra_repr(self) -> str:
        """Return the arguments of the loss."""
        return f"{self.table}, ignore_index={self.ignore_index}"
