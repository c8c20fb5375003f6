"""Cross-entropy over the labelled pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from protoxai.labels import check_labels
from protoxai.runtime.distributed import mean_over_processes
from protoxai.runtime.precision import widen, without_autocast


def cross_entropy_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    class_weight: Tensor | None = None,
    ignore_index: int = 255,
) -> Tensor:
    """Mean cross-entropy over the labelled pixels; 0, not NaN, where no pixel is labelled.

    Args:
        logits: (B, C, h, w).
        labels: int64 (B, h, w).
        class_weight: (C,): the mean is weighted by the weight of each pixel's class.
        ignore_index: Label of pixels that do not count.

    Returns:
        Scalar of at least 0.

    Raises:
        ValueError: If shapes do not fit or a label is no class.

    Example:
        >>> import torch
        >>> cross_entropy_loss(torch.zeros(1, 2, 4, 4), torch.full((1, 4, 4), 255))
        tensor(0.)
    """
    if labels.shape != logits.shape[:1] + logits.shape[2:]:
        raise ValueError(
            f"labels have shape {tuple(labels.shape)} and logits {tuple(logits.shape)}; expected "
            "(batch, h, w) and (batch, classes, h, w): sample the labels with "
            "protoxai.labels.labels_at"
        )
    check_labels(labels, logits.shape[1], ignore_index)
    if class_weight is not None and class_weight.shape != logits.shape[1:2]:
        raise ValueError(
            f"class_weight has shape {tuple(class_weight.shape)}, expected "
            f"({logits.shape[1]},): give one weight for each class of the logits"
        )
    labels = labels.long()
    with without_autocast(logits):
        (logits,) = widen(logits)
        weight = None if class_weight is None else class_weight.to(logits)
        total = F.cross_entropy(logits, labels, weight, ignore_index=ignore_index, reduction="sum")
        counted = labels != ignore_index
        pixels = counted if weight is None else weight[labels.where(counted, 0)].where(counted, 0)
        return mean_over_processes(total, pixels.sum().to(total.dtype))
