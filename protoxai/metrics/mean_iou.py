"""Mean intersection over union, from one confusion matrix over the data set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from protoxai.labels import check_ignore_index, check_labels


def iou_per_class(confusion: Tensor) -> Tensor:
    """Return the intersection over union of each class.

    Args:
        confusion: counts (C, C), rows the labels, columns the predictions.

    Returns:
        (C,) in [0, 1]; NaN for a class that is neither labelled nor predicted.

    Example:
        >>> import torch
        >>> iou_per_class(torch.tensor([[2, 1], [0, 1]]))
        tensor([0.6667, 0.5000])
    """
    hits = confusion.diagonal().double()
    union = confusion.sum(0) + confusion.sum(1) - hits
    return (hits / union).float()


class MeanIoU(MulticlassConfusionMatrix):
    """Mean over classes of intersection over union, all images in one confusion matrix.

    Classes neither labelled nor predicted are left out. (torchmetrics' segmentation metric of that
    name averages over images instead.)

    Args:
        num_classes: number of classes C.
        ignore_index: label of pixels that do not count.

    Raises:
        ValueError: if the ignored value is one of the classes.

    Example:
        >>> import torch
        >>> metric = MeanIoU(num_classes=2)
        >>> metric.update(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1]))
        >>> metric.compute()
        tensor(0.5833)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def __init__(self, num_classes: int, ignore_index: int = 255, **options: Any) -> None:
        check_ignore_index(ignore_index, num_classes)
        self._ignored = ignore_index
        # Validation by torchmetrics sorts all values of every batch.
        super().__init__(num_classes, ignore_index, validate_args=False, **options)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count predicted classes, or scores (B, C, ...) of them, against labels.

        Raises:
            ValueError: if a label is neither a class nor the ignored value.
        """
        check_labels(target, self.num_classes, self._ignored)
        super().update(preds, target)

    def compute(self) -> Tensor:
        """Return the mean as a scalar in [0, 1]; NaN before any labelled pixel."""
        return torch.nanmean(iou_per_class(self.confmat))

    def confusion(self) -> Tensor:
        """Return the counts (C, C) over all processes, rows the labels."""
        with self.sync_context():
            return self.confmat.clone()

    def per_class(self) -> Tensor:
        """Return the intersection over union of each class over all processes, (C,)."""
        return iou_per_class(self.confusion())
