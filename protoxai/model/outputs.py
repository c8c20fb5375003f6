"""Outputs of the models."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class SegmentationOutput(NamedTuple):
    """Output of :class:`~protoxai.ScaleProtoSeg`, from the embedding to the logits.

    All maps are at feature resolution h x w.

    Attributes:
        logits: Logits (B, C, h, w).
        embedding: Embedding (B, S, D, h, w), in (0, 1).
        distances: Squared distances (B, P, h, w).
        activations: Prototype activations (B, P, h, w).
        group_scores: Group scores (B, N, h, w) in stage 2, else None.
        auxiliary: Outputs of the full image and of each scaled one, each at its own size, if the
            model is in training mode and has input scales; else empty.
    """

    logits: Tensor
    embedding: Tensor
    distances: Tensor
    activations: Tensor
    group_scores: Tensor | None
    auxiliary: tuple[SegmentationOutput, ...] = ()


class LinearOutput(NamedTuple):
    """Output of :class:`~protoxai.LinearSegmenter`, at feature resolution h x w.

    Attributes:
        logits: Logits (B, C, h, w).
        auxiliary: Outputs of the full image and of each scaled one, each at its own size, if the
            model is in training mode and has input scales; else empty.
    """

    logits: Tensor
    auxiliary: tuple[LinearOutput, ...] = ()
