"""Checks of maps, masks and heads."""

from __future__ import annotations

from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead


def check_maps(attribution: Tensor) -> None:
    """Raise ``ValueError`` unless the attribution has shape (B, H, W)."""
    if attribution.dim() != 3:
        raise ValueError(
            f"attribution has shape {tuple(attribution.shape)}, expected (batch, height, width): "
            "sum over the channels, and give a single map as map[None]"
        )


def check_masked(attribution: Tensor, mask: Tensor) -> None:
    """Raise ``ValueError`` unless attribution and mask have the same shape (B, H, W)."""
    check_maps(attribution)
    if mask.shape != attribution.shape:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} and attribution {tuple(attribution.shape)}, "
            "expected the same (batch, height, width): resize the attribution to the image"
        )


def check_grouped(head: PrototypeHead | SparseGroupHead) -> SparseGroupHead:
    """Return the head, or raise ``ValueError`` if it has no groups."""
    if not isinstance(head, SparseGroupHead):
        raise ValueError(
            f"the head is a {type(head).__name__}, which has no groups; expected a "
            "SparseGroupHead: call model.group() first"
        )
    return head


def check_batch(**tensors: Tensor) -> None:
    """Raise ``ValueError`` unless all tensors have the same batch size."""
    if len({len(tensor) for tensor in tensors.values()}) > 1:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ValueError(f"batches differ: {shapes}; expected one entry of each for every image")
