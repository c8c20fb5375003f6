"""Spatial entropy: a prototype should be active at few pixels of its class."""

from __future__ import annotations

from torch import Tensor

from protoxai.losses.class_pixels import OwnClassPixels, TableLoss, mean_where
from protoxai.prototypes.table import PrototypeTable


def spatial_entropy_loss(
    activations: Tensor, labels: Tensor, table: PrototypeTable, *, ignore_index: int = 255
) -> Tensor:
    """Return the mean normalised entropy of each prototype's activation over its class's pixels.

    For an image and a class with at least two pixels U, it is the mean over the class's prototypes
    of ``H(softmax over U of g_p) / log|U|``. Source: Porta et al., WACV 2025 (arXiv 2409.09497).

    Args:
        activations: Prototype activations (B, P, h, w).
        labels: Labels, int64 (B, h, w).
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.

    Returns:
        Scalar in [0, 1]; 0 if no class contributes.

    Raises:
        ValueError: If shapes do not fit, or a label is neither a class nor ignored.

    Example:
        >>> import torch
        >>> table = PrototypeTable([0], [0], num_classes=1, num_scales=1)
        >>> spatial_entropy_loss(torch.ones(1, 1, 4, 4), torch.zeros(1, 4, 4).long(), table)
        tensor(1.)
    """
    own = OwnClassPixels(labels, table, ignore_index)
    log_share = own.log_softmax(own.gather("activations", activations))
    entropy = -own.sum(log_share.exp() * log_share)
    slots = own.slots.flatten(1).T
    prototypes = slots.sum(0)
    per_class = entropy.where(slots, 0).sum(1) / prototypes.clamp_min(1)
    normaliser = own.pixels.to(entropy.dtype).clamp_min(2).log()
    return mean_where(per_class / normaliser, (own.pixels >= 2) & (prototypes > 0))


class SpatialEntropyLoss(TableLoss):
    """:func:`spatial_entropy_loss` as a module.

    Args:
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.
    """

    def forward(self, activations: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of activations (B, P, h, w) and labels (B, h, w)."""
        return spatial_entropy_loss(activations, labels, self.table, ignore_index=self.ignore_index)
