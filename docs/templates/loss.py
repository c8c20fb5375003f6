"""Template of a loss term: the mean activation of the prototypes at labelled pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from protoxai.heads.kinds import Head
from protoxai.losses.criterion import register_loss
from protoxai.prototypes.table import PrototypeTable

if TYPE_CHECKING:
    from protoxai.model.outputs import SegmentationOutput


def mean_activation_loss(
    activations: Tensor, labels: Tensor, table: PrototypeTable, *, ignore_index: int = 255
) -> Tensor:
    """Return the mean activation of all prototypes at labelled pixels.

    Args:
        activations: Activations (B, P, h, w) of the prototypes.
        labels: Labels (B, h, w), int64, on the grid of the activations.
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.

    Returns:
        A scalar; 0 if no pixel is labelled.

    Raises:
        ValueError: If the activations are not those of the table's prototypes.

    Example:
        >>> import torch
        >>> table = PrototypeTable([0, 1], [0, 0], num_classes=2, num_scales=1)
        >>> activations = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1)
        >>> mean_activation_loss(activations, torch.tensor([[[1]]]), table)
        tensor(2.)
    """
    if activations.shape[1] != len(table):
        raise ValueError(
            f"got activations of {activations.shape[1]} prototypes, expected {len(table)}: give "
            "the activations of the layer that has this table"
        )
    labelled = (labels != ignore_index)[:, None]
    total = (activations * labelled).sum()
    return total / (labelled.sum() * len(table)).clamp_min(1)


class MeanActivationLoss(nn.Module):
    """:func:`mean_activation_loss` as a module.

    Args:
        ignore_index: Label of pixels that do not count.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, activations: Tensor, labels: Tensor, table: PrototypeTable) -> Tensor:
        """Return the loss of activations (B, P, h, w) with labels (B, h, w)."""
        return mean_activation_loss(activations, labels, table, ignore_index=self.ignore_index)


# A term of the groups' weights takes @register_loss(name, grouped=True), and uses the head alone.
@register_loss("mean_activation")
def _term(output: SegmentationOutput, labels: Tensor, head: Head, ignore_index: int) -> Tensor:
    """Return the term of a model's output; ``labels`` are on the grid of its maps."""
    return mean_activation_loss(output.activations, labels, head.table, ignore_index=ignore_index)
