"""Activation norm: mean or largest activation of a class's prototypes over its pixels."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from protoxai.losses.class_pixels import OwnClassPixels, TableLoss, mean_where
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.checks import choice

Norm = Literal["l1", "linf"]


def activation_norm_loss(
    activations: Tensor,
    labels: Tensor,
    table: PrototypeTable,
    *,
    norm: Norm = "l1",
    ignore_index: int = 255,
) -> Tensor:
    """Return the mean norm of the activations ``g`` of a class's prototypes over its pixels U.

    The norm of a prototype is ``sum over U of |g| / |U|`` ("l1") or ``max over U of |g|`` ("linf").
    It is averaged over the prototypes of a class, then over the classes of all images. Source:
    Porta et al., WACV 2025 (arXiv 2409.09497).

    Args:
        activations: Prototype activations (B, P, h, w).
        labels: Labels, int64 (B, h, w).
        table: Class and scale of each prototype.
        norm: "l1" or "linf".
        ignore_index: Label of pixels that do not count.

    Returns:
        Scalar of at least 0; 0 if no class contributes.

    Raises:
        ValueError: If shapes do not fit, a label is neither a class nor ignored, or the norm is
            unknown.

    Example:
        >>> import torch
        >>> table = PrototypeTable([0], [0], num_classes=1, num_scales=1)
        >>> maps, labels = torch.tensor([[[[1.0, 3.0]]]]), torch.zeros(1, 1, 2).long()
        >>> activation_norm_loss(maps, labels, table), activation_norm_loss(
        ...     maps, labels, table, norm="linf")
        (tensor(2.), tensor(3.))
    """
    choice("norm", norm, get_args(Norm))
    own = OwnClassPixels(labels, table, ignore_index)
    size = own.gather("activations", activations).abs()
    present = own.pixels > 0
    if norm == "l1":
        per_slot = own.sum(size) / own.pixels.to(size.dtype).clamp_min(1)[:, None]
    else:
        per_slot = own.amax(size).where(present[:, None], 0)
    slots = own.slots.flatten(1).T
    prototypes = slots.sum(0)
    per_class = per_slot.where(slots, 0).sum(1) / prototypes.clamp_min(1)
    return mean_where(per_class, present & (prototypes > 0))


class ActivationNormLoss(TableLoss):
    """:func:`activation_norm_loss` as a module.

    Args:
        table: Class and scale of each prototype.
        norm: "l1" or "linf".
        ignore_index: Label of pixels that do not count.
    """

    def __init__(self, table: PrototypeTable, norm: Norm = "l1", ignore_index: int = 255) -> None:
        super().__init__(table, ignore_index)
        choice("norm", norm, get_args(Norm))
        self.norm: Norm = norm

    def extra_repr(self) -> str:
        """Return the arguments of the loss."""
        return f"{self.table}, norm={self.norm!r}, ignore_index={self.ignore_index}"

    def forward(self, activations: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of activations (B, P, h, w) and labels (B, h, w)."""
        return activation_norm_loss(
            activations, labels, self.table, norm=self.norm, ignore_index=self.ignore_index
        )
