"""Mean intersection over union, from one confusion matrix over the data set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from protoxai.labels import check_ignore_index, check_labels
from protoxai.metrics.base.groups import GroupOf
from protoxai.metrics.base.intervals import Estimate
from protoxai.metrics.base.per_image import ImageRows, Index
from protoxai.metrics.segmentation.tallies import (
    class_scores,
    grouped_tallies,
    image_tallies,
    mean_iou_interval,
)
from protoxai.runtime.checks import Range, function, whole
from protoxai.runtime.tensors import tensor

CLASSES = Range(least=1, most=100_000)


def iou_per_class(confusion: Tensor) -> Tensor:
    """Return the intersection over union of each class.

    Args:
        confusion: Counts (C, C) by label (rows) and prediction (columns).

    Returns:
        Values (C,) in [0, 1]; NaN for a class that is neither labelled nor predicted.

    Example:
        >>> import torch
        >>> iou_per_class(torch.tensor([[2, 1], [0, 1]]))
        tensor([0.6667, 0.5000])
    """
    tensor("confusion", confusion, "labels predictions", "real numbers")
    fits = confusion.shape[0] == confusion.shape[1]
    on_cpu = confusion.device.type == "cpu"
    if not fits or (on_cpu and not bool(((confusion >= 0) & confusion.isfinite()).all())):
        raise ValueError(
            f"confusion has shape {tuple(confusion.shape)}, expected (C, C) finite counts of at "
            "least 0"
        )
    tally = torch.stack([confusion.diagonal(), confusion.sum(1), confusion.sum(0)])
    return class_scores(tally.double()).iou.float()


def mean_iou(
    predicted: Tensor, labels: Tensor, num_classes: int, ignore_index: int = 255
) -> Tensor:
    """Return the mean over classes of intersection over union, over all pixels together.

    Args:
        predicted: Predicted classes, int64 (B, ...), or scores (B, C, ...).
        labels: Labels (B, ...).
        num_classes: Number of classes C.
        ignore_index: Label of pixels that do not count.

    Returns:
        Scalar in [0, 1], over the classes that are labelled or predicted; NaN without a labelled
        pixel.

    Raises:
        ValueError: If a label is neither a class nor the ignored value, or the ignored value is
            one of the classes.

    Example:
        >>> import torch
        >>> mean_iou(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1]), num_classes=2)
        tensor(0.5833)
    """
    metric = MeanIoU(num_classes, ignore_index)
    _check(("predicted", predicted), ("labels", labels), num_classes, ignore_index)
    metric = metric.to(predicted.device)
    metric.update(predicted, labels)
    return metric.compute()


def _check(
    predictions: tuple[str, Tensor], target: tuple[str, Tensor], num_classes: int, ignore_index: int
) -> None:
    """Raise an error unless labels, and predictions of labelled pixels, are classes.

    Args:
        predictions: Name of the argument, and predictions.
        target: Name of the argument, and labels.
        num_classes: Number of classes C.
        ignore_index: Label of pixels that do not count.
    """
    (name, predicted), (labels_name, labels) = predictions, target
    check_labels(labels, num_classes, ignore_index, dims="... images", name=labels_name)
    tensor(name, predicted, "... images", "real numbers")
    sizes = labels.shape
    if predicted.is_floating_point():
        sizes = torch.Size([*labels.shape[:1], num_classes, *labels.shape[1:]])
    if predicted.shape != sizes:
        kind = "scores" if predicted.is_floating_point() else "classes"
        raise ValueError(
            f"{name}: got {kind} of shape {tuple(predicted.shape)} for {labels_name} of "
            f"shape {tuple(labels.shape)}, expected {tuple(sizes)}: classes are integers (B, ...), "
            "scores floating point (B, C, ...)"
        )
    if predicted.device != labels.device:
        raise ValueError(
            f"{name} are on {predicted.device} and {labels_name} on {labels.device}: move them to "
            "one device"
        )
    if predicted.device.type != "cpu" or predicted.numel() == 0:
        return
    if predicted.is_floating_point():
        if bool(predicted.isnan().any()):
            raise ValueError(f"{name}: got scores that are NaN, expected numbers")
        return
    low, high = predicted.aminmax()
    if low < 0 or high >= num_classes:
        wrong = (predicted < 0) | (predicted >= num_classes)
        found = predicted[wrong & (labels != ignore_index)]
        if len(found):
            raise ValueError(
                f"{name}: got {int(found[0])} at a labelled pixel, expected classes from 0 to "
                f"{num_classes - 1}"
            )


class MeanIoU(ImageRows, MulticlassConfusionMatrix):
    """Mean over classes of intersection over union, all images in one confusion matrix.

    Classes that are neither labelled nor predicted are left out. (torchmetrics' segmentation metric
    of the same name averages over images instead.)

    If every update names the data set indices of its images, each image counts once, and the mean
    has an :meth:`interval`.

    Args:
        num_classes: Number of classes C.
        ignore_index: Label of pixels that do not count.
        **options: Options of ``torchmetrics.Metric``.

    Raises:
        ValueError: If the ignored value is one of the classes.

    Example:
        >>> import torch
        >>> metric = MeanIoU(num_classes=2)
        >>> metric.update(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1]))
        >>> metric.compute()
        tensor(0.5833)
    """

    ignore_index: int
    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def __init__(self, num_classes: int, ignore_index: int = 255, **options: Any) -> None:
        num_classes = whole("num_classes", num_classes, CLASSES)
        check_ignore_index(ignore_index, num_classes)
        # Validation by torchmetrics sorts all values of every batch, which is slow.
        super().__init__(num_classes, ignore_index, validate_args=False, **options)
        # Hits, labelled and predicted pixels of each class.
        self._add_rows(3 * num_classes)

    def update(self, preds: Tensor, target: Tensor, index: Index = None) -> None:
        """Count predictions against labels.

        Args:
            preds: Predicted classes, int64 (B, ...), or scores (B, C, ...).
            target: Labels (B, ...).
            index: Data set index of each of the B images; None if images are not distinguished.

        Raises:
            TypeError: If predictions or labels are of another type.
            ValueError: If a label is neither a class nor the ignored value, the prediction at a
                labelled pixel no class, or the shapes do not fit.
        """
        _check(("preds", preds), ("target labels", target), self.num_classes, self.ignore_index)
        super().update(preds, target)
        if index is not None:
            predicted = preds.argmax(1) if preds.dim() > target.dim() else preds
            tallies = image_tallies(predicted, target, self.num_classes, self.ignore_index)
            self.add_values(tallies, index)

    def compute(self) -> Tensor:
        """Return the mean as a scalar in [0, 1]; NaN before any labelled pixel."""
        return torch.nanmean(self._per_class())

    def confusion(self) -> Tensor:
        """Return the counts (C, C) by label (rows) and prediction, over all processes."""
        with self.sync_context():
            return self.confmat.clone()

    def per_class(self) -> Tensor:
        """Return the intersection over union of each class over all processes, (C,)."""
        with self.sync_context():
            return self._per_class()

    def per_image(self) -> tuple[Tensor, Tensor]:
        """Return the indices (n,) of the images and their tallies (n, 3, C), over all processes.

        A tally holds the hits, the labelled and the predicted pixels of each class, float64.

        Raises:
            ValueError: If an update did not name its images.
        """
        with self.sync_context():
            if not self._images_named():
                raise ValueError(
                    "got updates without index, expected update(preds, target, index) with each "
                    "image's data set index in every update"
                )
            indices, rows = self._unique_rows()
        return indices, rows.unflatten(1, (3, -1))

    def interval(self, group_of: GroupOf | None = None) -> Estimate:
        """Return the mean with its 95 % interval, by the jackknife over images.

        Args:
            group_of: Function from the index of an image to its group, such as its video: images
                of a group are left out together. None if images are independent.

        Returns:
            The estimate; its interval is NaN for fewer than 6 images (groups) with labelled pixels.

        Raises:
            ValueError: If an update did not name its images.
        """
        if group_of is not None:
            function("group_of", group_of)
        indices, tallies = self.per_image()
        groups = grouped_tallies(indices, tallies, group_of)
        low, high = mean_iou_interval(groups) or (torch.nan, torch.nan)
        mean = class_scores(tallies.sum(0)).iou.nanmean()
        labelled = int((tallies[:, 1].sum(1) > 0).sum())
        undefined = len(tallies) - labelled
        return Estimate(float(mean), low, high, labelled, len(groups), undefined)

    def _per_class(self) -> Tensor:
        if not self._images_named():
            return iou_per_class(self.confmat)
        return class_scores(self._unique_rows()[1].sum(0).view(3, -1)).iou.float()

    def _images_named(self) -> bool:
        """Return whether the rows of the images account for all counts."""
        _, labelled, _ = self._all_rows()[1].sum(0).view(3, -1)
        return int(labelled.sum()) == int(self.confmat.sum())
