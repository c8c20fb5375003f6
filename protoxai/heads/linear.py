"""Heads: from prototype activations to class logits, directly or through sparse groups."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from protoxai.kernels.last_layer import class_logits
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.precision import widen, without_autocast


class PrototypeHead(nn.Module):
    """Stage 1: logits are a linear map of the prototype activations, without bias.

    Porta et al., WACV 2025, section 3; weights start at +1 where the prototype is of the class.

    Args:
        table: class and scale of each of the P prototypes.
        off_class: initial weight of a prototype for the other classes.

    Attributes:
        weight: parameter (C, P).

    Example:
        >>> import torch
        >>> head = PrototypeHead(PrototypeTable.regular(3, 2, 4))
        >>> head(torch.rand(1, 24, 5, 6)).shape
        torch.Size([1, 3, 5, 6])
    """

    def __init__(self, table: PrototypeTable, off_class: float = -0.5) -> None:
        super().__init__()
        self.table = table.to("cpu")
        self.off_class = off_class
        self.weight = nn.Parameter(class_weights(self.unit_class, table.num_classes, off_class))

    @property
    def unit_class(self) -> Tensor:
        """Class of the unit behind each column of ``weight``: a prototype's, int64 (P,)."""
        return self.table.class_index

    def forward(self, activations: Tensor) -> Tensor:
        """Return logits (B, C, h, w) of prototype activations (B, P, h, w)."""
        check_maps("activations", activations, len(self.table), "prototypes")
        return last_layer(self.weight, activations, self.table)

    def keep(self, indices: Tensor | Sequence[int]) -> None:
        """Drop all other prototypes, in place; ``weight`` becomes a new parameter."""
        index = self.table.check_kept(indices)
        kept = self.weight.detach()[:, index.to(self.weight.device)]
        self.weight = nn.Parameter(kept, requires_grad=self.weight.requires_grad)
        self.table = self.table.keep(index)

    def extra_repr(self) -> str:
        """Describe the head's arguments."""
        return f"{self.table}, off_class={self.off_class}"


def class_weights(unit_class: Tensor, num_classes: int, off_class: float) -> Tensor:
    """Return the initial last layer (C, U): 1 for a unit's own class, `off_class` elsewhere."""
    own = unit_class == torch.arange(num_classes)[:, None]
    return torch.where(own, 1.0, off_class)


def last_layer(weight: Tensor, maps: Tensor, table: PrototypeTable) -> Tensor:
    """Return the logits (B, C, h, w) of the units' maps (B, U, h, w), in float32 or wider."""
    with without_autocast(maps):
        weight, maps = widen(weight, maps)
        return class_logits(weight, maps, table)


def check_maps(name: str, maps: Tensor, channels: int, meaning: str) -> None:
    """Raise ``ValueError`` unless maps are (B, channels, h, w)."""
    if maps.dim() != 4 or maps.shape[1] != channels:
        raise ValueError(
            f"{name} have shape {tuple(maps.shape)}, expected (batch, {channels} {meaning}, "
            "height, width)"
        )
