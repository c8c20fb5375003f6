"""Mean intersection over union, from one confusion matrix over the data set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from protoxai.labels import check_ignore_index, check_labels
from protoxai.metrics.base.bootstrap import RESAMPLES, Estimate, estimate
from protoxai.metrics.base.per_image import ImageRows, Index


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
    return _iou(confusion.diagonal(), confusion.sum(1), confusion.sum(0)).float()


def _iou(hits: Tensor, labelled: Tensor, predicted: Tensor) -> Tensor:
    # In whole numbers large counts stay exact.
    return hits.double() / (labelled + predicted - hits).double()


class MeanIoU(ImageRows, MulticlassConfusionMatrix):
    """Mean over classes of intersection over union, all images in one confusion matrix.

    Classes neither labelled nor predicted are left out. (torchmetrics' segmentation metric of that
    name averages over images instead.)

    Updates that say which images they hold count each image once, and give an :meth:`interval`.

    Args:
        num_classes: number of classes C.
        ignore_index: label of pixels that do not count.
        options: of ``torchmetrics.Metric``.

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
        # Of an image's confusion matrix: what intersection over union needs of it.
        self._add_rows(3 * num_classes)

    def update(self, preds: Tensor, target: Tensor, index: Index = None) -> None:
        """Count predicted classes, or scores (B, C, ...) of them, against labels.

        Args:
            preds: int64 (B, ...), or scores (B, C, ...).
            target: labels (B, ...).
            index: data set index of each of the B images; None: they are not told apart.

        Raises:
            ValueError: if a label is neither a class nor the ignored value.
        """
        check_labels(target, self.num_classes, self._ignored)
        super().update(preds, target)
        if index is not None:
            numbers = self._numbers(index, len(target))
            predicted = preds.argmax(1) if preds.dim() > target.dim() else preds
            self._keep(numbers, self._tallies(predicted, target))

    def compute(self) -> Tensor:
        """Return the mean as a scalar in [0, 1]; NaN before any labelled pixel."""
        return torch.nanmean(self._per_class())

    def confusion(self) -> Tensor:
        """Return the counts (C, C) of all updates over all processes, rows the labels."""
        with self.sync_context():
            return self.confmat.clone()

    def per_class(self) -> Tensor:
        """Return the intersection over union of each class over all processes, (C,)."""
        with self.sync_context():
            return self._per_class()

    def interval(self, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
        """Return the mean with its 95 % bootstrap interval: of the sum of resampled images.

        Raises:
            ValueError: if not every update said which images it held.
        """
        with self.sync_context():
            if not self._told_apart():
                raise ValueError(
                    "the images were not told apart, expected update(preds, target, index) with "
                    "each image's data set index in every update"
                )
            rows = self._kept()[1]
        return estimate(rows, self._mean, resamples=resamples, seed=seed)

    def _per_class(self) -> Tensor:
        if not self._told_apart():
            return iou_per_class(self.confmat)
        return _iou(*self._kept()[1].sum(0).view(3, -1)).float()

    def _mean(self, rows: Tensor, counts: Tensor) -> Tensor:
        totals = (counts @ rows).view(len(counts), 3, -1)
        return _iou(*totals.unbind(1)).nanmean(1)

    def _told_apart(self) -> bool:
        """Whether what is known image by image is all there is."""
        _, labelled, _ = self._all_rows()[1].sum(0).view(3, -1)
        return int(labelled.sum()) == int(self.confmat.sum())

    def _tallies(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return hits, labelled and predicted pixels of each class and image (B, 3, C)."""
        images = torch.arange(len(target), device=target.device)
        images = images.view(-1, *[1] * (target.dim() - 1)).expand_as(target)
        counted = target != self._ignored
        images, predicted, target = images[counted], predicted[counted], target[counted]
        hit = predicted == target
        chosen = [(images[hit], target[hit]), (images, target), (images, predicted)]
        number = len(counted)
        tallies = [
            torch.bincount(i * self.num_classes + c, minlength=number * self.num_classes)
            for i, c in chosen
        ]
        return torch.stack([tally.view(number, -1) for tally in tallies], 1)
