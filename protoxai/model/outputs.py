"""What a segmentation model returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class SegmentationOutput(NamedTuple):
    """Everything on the way from the embedding to the logits, at feature resolution h x w.

    Attributes:
        logits: (B, C, h, w).
        embedding: (B, S, D, h, w), in (0, 1).
        distances: squared distances (B, P, h, w).
        activations: (B, P, h, w).
        group_scores: (B, N, h, w) in stage 2, else None.
        auxiliary: in training with input scales, the outputs of the full image and of each scaled
            one, each at its own size; else empty.
    """

    logits: Tensor
    embedding: Tensor
    distances: Tensor
    activations: Tensor
    group_scores: Tensor | None
    auxiliary: tuple[SegmentationOutput, ...] = ()


class LinearOutput(NamedTuple):
    """What a model without prototypes returns, at feature resolution h x w.

    Attributes:
        logits: (B, C, h, w).
        auxiliary: as of :class:`SegmentationOutput`.
    """

    logits: Tensor
    auxiliary: tuple[LinearOutput, ...] = ()
