"""The last layer of both heads, and the head of stage 1, which is that layer alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from protoxai.kernels import class_logits, tied_class_logits
from protoxai.prototypes.table import PrototypeTable, check_table
from protoxai.runtime.checks import Range, choice, number, whole
from protoxai.runtime.precision import widen, without_autocast
from protoxai.runtime.tensors import tensor

LastLayer = Literal["dense", "tied"]


class UnitHead(nn.Module):
    """Base of the heads: a last layer over units, which are prototypes or groups of them.

    A dense last layer has a weight for every class and unit. A tied one has two weights per unit,
    one for the unit's own class and one for all other classes, so it grows linearly in the number
    of classes.

    Args:
        table: Class and scale of each of the P prototypes.
        off_class: Initial weight of a unit for other classes than its own.
        last_layer: "dense" (as in the paper) or "tied".

    Attributes:
        weight: Parameter of the last layer over U units: (C, U) if dense; (2, U) if tied, the
            first row for each unit's own class, the second for every other class.

    Raises:
        ValueError: If ``last_layer`` is unknown.
    """

    weight: nn.Parameter
    _unit_class: Tensor

    def __init__(
        self, table: PrototypeTable, off_class: float = -0.5, last_layer: LastLayer = "dense"
    ) -> None:
        super().__init__()
        choice("last_layer", last_layer, get_args(LastLayer))
        self.table = check_table(table).to("cpu")
        self.off_class = number("off_class", off_class)
        self.last_layer: LastLayer = last_layer

    @property
    @abstractmethod
    def unit_class(self) -> Tensor:
        """Class of the unit behind each column of ``weight``, int64 (U,)."""

    @property
    @abstractmethod
    def unit_name(self) -> str:
        """Name of the units in error messages."""

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.table.num_classes

    def classify(self, units: Tensor) -> Tensor:
        """Return the logits of the units.

        Args:
            units: Activations of prototypes or scores of groups, (B, U, h, w).

        Returns:
            Logits (B, C, h, w).

        Raises:
            ValueError: If the units' shape does not fit.
        """
        check_maps("units", units, self.weight.shape[1], self.unit_name)
        with without_autocast(units):
            weight, units = widen(self.weight, units)
            if self.last_layer == "dense":
                return class_logits(units, weight)
            return tied_class_logits(units, weight, self._unit_class, self.num_classes)

    def class_weights(self, class_index: int | None = None) -> Tensor:
        """Return the last layer's weights in dense form.

        Args:
            class_index: The class whose weights to return; None for all.

        Returns:
            Weights (U,) of one class, or (C, U) of all.

        Raises:
            TypeError: If ``class_index`` is no number.
            ValueError: If there is no such class.
        """
        if class_index is not None:
            class_index = check_class(class_index, self.num_classes)
        if self.last_layer == "dense":
            return self.weight if class_index is None else self.weight[class_index]
        own, other = self.weight
        chosen = self.own_class() if class_index is None else self._unit_class == class_index
        return torch.where(chosen, own, other)

    def own_class(self) -> Tensor:
        """Return whether each unit belongs to each class, bool (C, U), on the weights' device."""
        classes = torch.arange(self.num_classes, device=self._unit_class.device)
        return self._unit_class == classes[:, None]

    def own_class_weights(self) -> Tensor:
        """Return each unit's weight for its own class, (U,)."""
        if self.last_layer == "tied":
            return self.weight[0]
        return self.weight.gather(0, self._unit_class[None])[0]

    def _begin_last_layer(self) -> None:
        """Create ``weight``: 1 for a unit's own class, ``off_class`` for every other class."""
        self.register_buffer("_unit_class", self.unit_class, persistent=False)
        if self.last_layer == "tied":
            start = torch.ones(2, len(self.unit_class))
            start[1] = self.off_class
        else:
            start = torch.where(self.own_class(), 1.0, self.off_class)
        self.weight = nn.Parameter(start)


class PrototypeHead(UnitHead):
    """Linear map from prototype activations to logits, without bias.

    Weights start at 1 for the prototype's own class and at ``off_class`` elsewhere. Source:
    Porta et al., WACV 2025 (arXiv 2409.09497), section 3.

    Args:
        table: Class and scale of each of the P prototypes.
        off_class: Initial weight of a prototype for other classes than its own.
        last_layer: "dense" (as in the paper) or, for many classes, "tied": two weights per
            prototype, one for its own class and one for all others.

    Attributes:
        weight: Parameter (C, P), or (2, P) if tied.

    Example:
        >>> import torch
        >>> head = PrototypeHead(PrototypeTable.regular(3, 2, 4))
        >>> head(torch.rand(1, 24, 5, 6)).shape
        torch.Size([1, 3, 5, 6])
    """

    unit_name = "prototypes"

    def __init__(
        self, table: PrototypeTable, off_class: float = -0.5, last_layer: LastLayer = "dense"
    ) -> None:
        super().__init__(table, off_class, last_layer)
        self._begin_last_layer()

    @property
    def unit_class(self) -> Tensor:
        """Class of each prototype, int64 (P,)."""
        return self.table.class_index

    def forward(self, activations: Tensor) -> Tensor:
        """Return the logits (B, C, h, w) of prototype activations (B, P, h, w)."""
        check_maps("activations", activations, len(self.table), "prototypes")
        return self.classify(activations)

    def keep(self, indices: Tensor | Sequence[int]) -> None:
        """Drop all prototypes but the given ones, in place; ``weight`` becomes a new parameter.

        Args:
            indices: Indices of the prototypes to keep; their order stays.
        """
        index = self.table.check_kept(indices)
        self.table = self.table.keep(index)
        kept, trained = self.weight.detach(), self.weight.requires_grad
        self._unit_class = self.unit_class.to(kept.device)
        self.weight = nn.Parameter(kept[:, index.to(kept.device)], requires_grad=trained)

    def extra_repr(self) -> str:
        """Return the arguments of the head."""
        return f"{self.table}, off_class={self.off_class}, last_layer={self.last_layer!r}"


def check_maps(name: str, maps: Tensor, channels: int, unit_name: str) -> None:
    """Raise an error unless maps are floating-point (B, channels, h, w)."""
    tensor(name, maps, f"batch {unit_name} height width", meta=True, sizes={unit_name: channels})


def check_class(class_index: object, num_classes: int) -> int:
    """Return a class as Python's int, or raise an error if there is no such class."""
    return whole("class_index", class_index, Range(least=0, most=num_classes - 1))
