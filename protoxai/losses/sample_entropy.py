"""Sample entropy: few prototypes of its class should be active at a pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from protoxai.losses.class_pixels import OwnClassPixels, TableLoss, mean_where
from protoxai.prototypes.table import PrototypeTable


def sample_entropy_loss(
    activations: Tensor, labels: Tensor, table: PrototypeTable, *, ignore_index: int = 255
) -> Tensor:
    """Return the mean normalised entropy over the prototypes of a pixel's class, scale by scale.

    For each image, class and scale with at least two prototypes, it is the mean over the class's
    pixels of ``H(softmax over that scale's prototypes of the class) / log(count)``. Source: Porta
    et al., WACV 2025 (arXiv 2409.09497).

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
        >>> table = PrototypeTable([0, 0], [0, 0], num_classes=1, num_scales=1)
        >>> sample_entropy_loss(torch.ones(1, 2, 4, 4), torch.zeros(1, 4, 4).long(), table)
        tensor(1.)
    """
    own = OwnClassPixels(labels, table, ignore_index)
    values = own.gather("activations", activations).unflatten(1, own.slots.shape[1:])
    if own.slots.numel() == len(table):
        log_share = values.log_softmax(2)
    else:
        slots = own.spread(own.slots.flatten(1).T[None].expand(len(values), -1, -1).float()) > 0
        slots = slots.view_as(values)
        least = torch.finfo(values.dtype).min
        log_share = values.where(slots, least).log_softmax(2).where(slots, 0)
    entropy = -(log_share.exp() * log_share).sum(2)
    counts = own.slots.sum(2).T
    normaliser = counts.clamp_min(2).to(entropy.dtype).log()
    pixels = own.pixels[:, None].to(entropy.dtype)
    mean = own.sum(entropy) / pixels.clamp_min(1) / normaliser
    return mean_where(mean, (counts >= 2) & (pixels > 0))


class SampleEntropyLoss(TableLoss):
    """:func:`sample_entropy_loss` as a module.

    Args:
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.
    """

    def forward(self, activations: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of activations (B, P, h, w) and labels (B, h, w)."""
        return sample_entropy_loss(activations, labels, self.table, ignore_index=self.ignore_index)
