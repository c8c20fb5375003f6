"""Cross-entropy over the labelled pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoxai.labels import check_labels
from protoxai.losses.class_pixels import check_device
from protoxai.runtime.checks import NOT_NEGATIVE, numbers_of, shown, whole
from protoxai.runtime.distributed import mean_over_processes
from protoxai.runtime.precision import widen, without_autocast
from protoxai.runtime.tensors import tensor


def cross_entropy_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    class_weight: Tensor | None = None,
    ignore_index: int = 255,
) -> Tensor:
    """Return the mean cross-entropy over the labelled pixels; 0, not NaN, if there are none.

    Args:
        logits: Logits (B, C, h, w).
        labels: Labels, int64 (B, h, w).
        class_weight: Weight of each class (C,), by which its pixels count in the mean; None for 1.
        ignore_index: Label of pixels that do not count.

    Returns:
        Scalar of at least 0.

    Raises:
        ValueError: If shapes do not fit, or a label is neither a class nor ignored.

    Example:
        >>> import torch
        >>> cross_entropy_loss(torch.zeros(1, 2, 4, 4), torch.full((1, 4, 4), 255))
        tensor(0.)
    """
    tensor("logits", logits, "batch classes height width", meta=True)
    batch, classes, height, width = logits.shape
    tensor("labels", labels, kind="integers", meta=True)
    if tuple(labels.shape) != (batch, height, width):
        raise ValueError(
            f"labels have shape {tuple(labels.shape)} and logits {tuple(logits.shape)}; expected "
            "(batch, h, w) and (batch, classes, h, w): sample the labels with "
            "protoxai.labels.labels_at"
        )
    check_labels(labels, classes, ignore_index)
    check_device("logits", logits, labels.device)
    if class_weight is not None:
        check_class_weight(class_weight, classes)
    labels = labels.long()
    with without_autocast(logits):
        (logits,) = widen(logits)
        weight = None if class_weight is None else class_weight.to(logits)
        total = F.cross_entropy(logits, labels, weight, ignore_index=ignore_index, reduction="sum")
        counted = labels != ignore_index
        pixels = counted if weight is None else weight[labels.where(counted, 0)].where(counted, 0)
        return mean_over_processes(total, pixels.sum().to(total.dtype))


class CrossEntropyLoss(nn.Module):
    """:func:`cross_entropy_loss` as a module.

    Args:
        class_weight: Weight of each class (C,), by which its pixels count in the mean; None for 1.
        ignore_index: Label of pixels that do not count.
    """

    class_weight: Tensor | None

    def __init__(
        self, class_weight: Tensor | Sequence[float] | None = None, ignore_index: int = 255
    ) -> None:
        super().__init__()
        self.ignore_index = whole("ignore_index", ignore_index)
        self.register_buffer("class_weight", read_class_weight(class_weight))

    def extra_repr(self) -> str:
        """Return the arguments of the loss."""
        weight = None if self.class_weight is None else self.class_weight.tolist()
        return f"class_weight={weight}, ignore_index={self.ignore_index}"

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits (B, C, h, w) and labels (B, h, w)."""
        return cross_entropy_loss(
            logits, labels, class_weight=self.class_weight, ignore_index=self.ignore_index
        )


def read_class_weight(class_weight: Tensor | Sequence[float] | None) -> Tensor | None:
    """Return the weight of each class, float32 (C,), or None if there are no weights.

    Raises:
        TypeError: If they are not a list of numbers.
        ValueError: If a weight is negative, NaN or infinite, or all are 0.
    """
    if class_weight is None:
        return None
    if not isinstance(class_weight, Tensor):
        weights = numbers_of("class_weight", class_weight, expected=NOT_NEGATIVE)
        return check_class_weight(torch.tensor(weights))
    return check_class_weight(class_weight).to(torch.float32)


def check_class_weight(class_weight: Tensor, classes: int | None = None) -> Tensor:
    """Return the weight of each class, or raise an error; values are read on the CPU only.

    Args:
        class_weight: Weight of each class (C,).
        classes: Number of classes; None if it is not known.
    """
    hint = "give one weight for each class of the logits"
    sizes = None if classes is None else {"classes": classes}
    tensor(
        "class_weight", class_weight, "classes", "real numbers", meta=True, hint=hint, sizes=sizes
    )
    if class_weight.device.type != "cpu" or torch.compiler.is_compiling():
        return class_weight
    in_range = bool(((class_weight >= 0) & (class_weight < torch.inf)).all())
    if not in_range or not bool(class_weight.any()):
        raise ValueError(
            f"class_weight holds {shown(class_weight.tolist())}, expected finite numbers of at "
            "least 0, one of them above 0"
        )
    return class_weight
