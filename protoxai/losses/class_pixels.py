"""At each pixel only its own class's maps matter to a loss: gather those, sum them by class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from protoxai.labels import check_labels
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.distributed import mean_over_processes
from protoxai.runtime.precision import widen


class OwnClassPixels:
    """The labelled pixels of a batch, and what their own class's prototypes say of them.

    The prototypes of a class stand in S x K *slots*, K the most prototypes a class has at a scale;
    slots without a prototype are masked. Images, classes, slots and pixels are dimensions of
    tensors; nothing loops over them.

    Args:
        labels: int64 (B, h, w), classes ``0 .. C - 1`` or ``ignore_index``.
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.

    Attributes:
        slots: True (C, S, K) where there is a prototype.
        numbers: Which prototype it is, int64 (C, S, K), 0 where there is none.
        classes: Class of each pixel, int64 (B, 1, h*w). Void pixels belong to one class more, the
            last, which is cut off after every sum.
        pixels: Labelled pixels of each class, |U|, as float32 (B, C).
    """

    def __init__(self, labels: Tensor, table: PrototypeTable, ignore_index: int) -> None:
        if labels.dim() != 3:
            raise ValueError(
                f"labels have shape {tuple(labels.shape)}, expected (batch, height, width)"
            )
        check_labels(labels, table.num_classes, ignore_index)
        self.table = table = table.to(labels.device)
        self._size = labels.shape
        shape = (table.num_classes, table.num_scales, -1)
        members = table.members("cell")
        self.slots = members.mask.view(shape)
        self.numbers = members.numbers.view(shape)
        flat = labels.flatten(1).long()
        counted = (flat >= 0) & (flat < table.num_classes)
        self.classes = flat.where(counted, table.num_classes)[:, None]
        self.pixels = self.sum(torch.ones_like(self.classes, dtype=torch.float32))[:, 0]

    def check(self, maps: Tensor) -> Tensor:
        """Return maps (B, P, h, w) in float32 or wider; raise ``ValueError`` if not so shaped."""
        batch, height, width = self._size
        expected = (batch, len(self.table), height, width)
        if tuple(maps.shape) != expected:
            raise ValueError(
                f"maps have shape {tuple(maps.shape)}, expected {expected}: (batch, prototypes of "
                "the table, height and width of the labels); sample the labels with "
                "protoxai.labels.labels_at"
            )
        return widen(maps)[0]

    def gather(self, maps: Tensor) -> Tensor:
        """Return each pixel's own class's values (B, S*K, h*w) of maps (B, P, h, w).

        Values in slots without a prototype and at void pixels mean nothing.
        """
        maps = self.check(maps)
        index = self.numbers.flatten(1)
        index = torch.cat([index, index.new_zeros(1, index.shape[1])])
        chosen = index.T.index_select(1, self.classes.flatten())
        prototypes = chosen.view(-1, len(maps), self.classes.shape[2]).transpose(0, 1)
        return maps.flatten(2).gather(1, prototypes)

    def sum(self, values: Tensor) -> Tensor:
        """Sum (B, Q, h*w) over the pixels of each class: (B, Q, C)."""
        index = self.classes.expand_as(values)
        sums = values.new_zeros(*values.shape[:2], self.table.num_classes + 1)
        return sums.scatter_add(2, index, values)[..., :-1]

    def amax(self, values: Tensor) -> Tensor:
        """Return the largest of (B, Q, h*w) over the pixels of each class: (B, Q, C), else -inf."""
        largest = values.new_full((*values.shape[:2], self.table.num_classes + 1), -torch.inf)
        index = self.classes.expand_as(values)
        return largest.scatter_reduce(2, index, values, "amax")[..., :-1]

    def spread(self, per_class: Tensor) -> Tensor:
        """Give each pixel the value of its class: (B, Q, C) -> (B, Q, h*w); void pixels get 0."""
        padded = torch.nn.functional.pad(per_class, (0, 1))
        return padded.gather(2, self.classes.expand(-1, per_class.shape[1], -1))

    def log_softmax(self, values: Tensor) -> Tensor:
        """Return the logarithm of the softmax of (B, Q, h*w) over the pixels of each class.

        Void pixels get values that mean nothing (finite).
        """
        largest = self.amax(values.detach())
        shifted = values - self.spread(largest.where(largest > -torch.inf, 0))
        shifted = shifted.where(self.classes < self.table.num_classes, 0)
        total = self.sum(shifted.exp())
        return shifted - self.spread(total.where(total > 0, 1).log())


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the values where the mask is True; 0 (with a gradient of 0) where nowhere.

    Over the batches of all processes that train together.

    Args:
        values: Any shape.
        mask: Bool, broadcastable to the values.
    """
    mask = mask.expand_as(values)
    return mean_over_processes(values.where(mask, 0).sum(), mask.sum().to(values.dtype))


class TableLoss(nn.Module):
    """Base of the loss modules that compare pixels with their own class's prototypes.

    Args:
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.
    """

    def __init__(self, table: PrototypeTable, ignore_index: int = 255) -> None:
        super().__init__()
        self.table = table
        self.ignore_index = ignore_index

    def extra_repr(self) -> str:
        """Return the arguments of the loss."""
        return f"{self.table}, ignore_index={self.ignore_index}"
