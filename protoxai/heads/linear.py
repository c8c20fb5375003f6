"""Stage 1: from prototype activations straight to class logits."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from protoxai.heads.last_layer import LastLayer, UnitHead
from protoxai.prototypes.table import PrototypeTable


class PrototypeHead(UnitHead):
    """Linear map from prototype activations to logits, without bias.

    Weights start at 1 where the prototype is of the class, at ``off_class`` elsewhere. Source:
    Porta et al., WACV 2025 (arXiv 2409.09497), section 3.

    Args:
        table: Class and scale of each of the P prototypes.
        off_class: Initial weight of a prototype for other classes than its own.
        last_layer: "dense" (as in the paper) or "tied": two weights a prototype, one for its own
            class and one for all others, for many classes.

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
        return self.classify(activations)

    def keep(self, indices: Tensor | Sequence[int]) -> None:
        """Drop all other prototypes, in place; ``weight`` becomes a new parameter."""
        index = self.table.check_kept(indices)
        self.table = self.table.keep(index)
        kept, trained = self.weight.detach(), self.weight.requires_grad
        self._unit_class = self.unit_class.to(kept.device)
        self.weight = nn.Parameter(kept[:, index.to(kept.device)], requires_grad=trained)

    def extra_repr(self) -> str:
        """Return the arguments of the head."""
        return f"{self.table}, off_class={self.off_class}, last_layer={self.last_layer!r}"
