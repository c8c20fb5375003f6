"""Prototype diversity: a class's prototypes at a scale should be close to different pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from protoxai.losses.class_pixels import OwnClassPixels, TableLoss, mean_where
from protoxai.prototypes.table import PrototypeTable


def prototype_diversity_loss(
    distances: Tensor, labels: Tensor, table: PrototypeTable, *, ignore_index: int = 255
) -> Tensor:
    """Return the mean of ``exp(-D)`` over pairs of prototypes of the same class and scale.

    D is a symmetric divergence: for an image and a class with at least two pixels U, ``v_p`` is the
    softmax over U of the distances to prototype p, and ``D = (KL(v_p|v_q) + KL(v_q|v_p)) / 2``.
    Source: Sacha et al., ProtoSeg, WACV 2023 (arXiv 2301.12276), section 3.2, applied scale by
    scale by Porta et al., WACV 2025 (arXiv 2409.09497), section 3.

    Args:
        distances: Squared distances (B, P, h, w).
        labels: Labels, int64 (B, h, w).
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.

    Returns:
        Scalar in [0, 1]: 1 if all pairs have equal softmaxes, 0 if there is no pair.

    Raises:
        ValueError: If shapes do not fit, or a label is neither a class nor ignored.

    Example:
        >>> import torch
        >>> table = PrototypeTable([0, 0], [0, 0], num_classes=1, num_scales=1)
        >>> prototype_diversity_loss(torch.ones(1, 2, 4, 4), torch.zeros(1, 4, 4).long(), table)
        tensor(1.)
    """
    return diversity_of("distances", distances, labels, table, ignore_index)


def diversity_of(
    name: str, maps: Tensor, labels: Tensor, table: PrototypeTable, ignore_index: int
) -> Tensor:
    """Return the mean of ``exp(-D)`` over pairs of rows of a table, at the same scale.

    Args:
        name: Name of the maps, for errors.
        maps: Distances or scores (B, P, h, w).
        labels: Labels, int64 (B, h, w).
        table: Class and scale of each map.
        ignore_index: Label of pixels that do not count.
    """
    own = OwnClassPixels(labels, table, ignore_index)
    divergence, counted = _divergences(own, own.check(name, maps))
    return mean_where((-divergence).exp(), counted)


class PrototypeDiversityLoss(TableLoss):
    """:func:`prototype_diversity_loss` as a module.

    Args:
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.
    """

    def forward(self, distances: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of squared distances (B, P, h, w) and labels (B, h, w)."""
        return prototype_diversity_loss(
            distances, labels, self.table, ignore_index=self.ignore_index
        )


def _divergences(own: OwnClassPixels, distances: Tensor) -> tuple[Tensor, Tensor]:
    """Return D of every pair of slots in each image, (B, pairs, C), and whether the pair counts."""
    log_share = own.log_softmax(own.gather("distances", distances))
    share = log_share.exp()
    first, second = _pairs(own.slots.shape[1], own.slots.shape[2], distances.device)
    # KL(p|q) + KL(q|p) = sum of (p - q)(log p - log q), where no term is negative, even if rounded.
    differences = [x.index_select(1, first) - x.index_select(1, second) for x in (share, log_share)]
    slots = own.slots.flatten(1).T
    counted = slots[first] & slots[second] & (own.pixels >= 2)[:, None]
    return own.sum(differences[0] * differences[1]) / 2, counted


def _pairs(num_scales: int, per_scale: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the first and the second slot of every pair of slots of the same scale."""
    first, second = torch.triu_indices(per_scale, per_scale, offset=1, device=device)
    starts = torch.arange(num_scales, device=device)[:, None] * per_scale
    return (starts + first).flatten(), (starts + second).flatten()
