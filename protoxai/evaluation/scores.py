"""Scores of a model on a data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from protoxai.evaluation.models import check_model
from protoxai.labels import check_not_turned, labels_at
from protoxai.metrics import MeanIoU, active_prototypes, iou_per_class
from protoxai.model.prediction import predicted_labels
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.batches import check_iterable, labelled_images, names_of
from protoxai.runtime.checks import function
from protoxai.runtime.distributed import gather
from protoxai.runtime.finite import check_each, check_finite_weights, check_images
from protoxai.runtime.modes import evaluating
from protoxai.runtime.tensors import tensor

OVERFLOW = "compute in float32, or train with lower learning rates"
CAUTIONS: dict[int | None, str] = {0: "no pixel is labelled", 1: "a single class is labelled"}


@dataclass(frozen=True)
class Scores:
    """Scores of a model on a data set.

    Attributes:
        mean_iou: Mean intersection over union, in [0, 1].
        pixel_accuracy: Share of labelled pixels that are predicted correctly, in [0, 1].
        per_class: Intersection over union of each class, in [0, 1].
        prototypes: Number of prototypes; 0 for a model without.
        active_prototypes: Number of prototypes in use; 0 for a model without.
        labelled_classes: Number of classes with labelled pixels; None if it was not counted.
    """

    mean_iou: float
    pixel_accuracy: float
    per_class: tuple[float, ...]
    prototypes: int
    active_prototypes: int
    labelled_classes: int | None = None

    @property
    def caution(self) -> str:
        """What the mean IoU has to be read with; empty for labels of several classes."""
        return CAUTIONS.get(self.labelled_classes, "")

    def mean_iou_text(self, digits: int = 1) -> str:
        """Return the mean IoU in percent, with a caution if there is one.

        Args:
            digits: Number of decimal places.

        Example:
            >>> Scores(1.0, 1.0, (1.0, math.nan), 0, 0, labelled_classes=1).mean_iou_text()
            '100.0 (a single class is labelled)'
        """
        percent = "undefined" if math.isnan(self.mean_iou) else f"{100 * self.mean_iou:.{digits}f}"
        return f"{percent} ({self.caution})" if self.caution else percent

    def __str__(self) -> str:
        text = f"mIoU {self.mean_iou_text(2)}"
        if not math.isnan(self.pixel_accuracy):
            text += f", pixel accuracy {100 * self.pixel_accuracy:.2f}"
        if self.prototypes:
            text += f", {self.active_prototypes} of {self.prototypes} prototypes active"
        return text


def evaluate(
    model: Segmenter,
    loader: Iterable[Mapping[str, Any]],
    *,
    ignore_index: int = 255,
    logits_of: Callable[[Tensor], Tensor] | None = None,
    on_batch: Callable[[Tensor, Mapping[str, Any]], None] | None = None,
) -> Scores:
    """Score a model by one confusion matrix over all images, at the resolution of the labels.

    Args:
        model: Model of either kind; it runs in evaluation mode, and its own mode is restored.
        loader: Batches with "image" (B, 3, H, W) and "labels" (B, H', W'), of uncropped images;
            each process has its own share. Labels may be larger than the images.
        ignore_index: Label of pixels that do not count.
        logits_of: Function from images (B, 3, H, W) to logits (B, C, h, w), such as a sliding
            window; None: the model's ``logits``.
        on_batch: Function that receives the predictions (B, H', W') and the batch, for each batch.

    Returns:
        The scores over all processes.

    Raises:
        TypeError: If an argument, or a batch, is of another kind.
        ValueError: If a batch does not fit, or there is none.
        NotFiniteError: If a weight, an image or a logit is NaN or infinite.

    Example:
        >>> import torch
        >>> from protoxai import LinearSegmenter
        >>> model = LinearSegmenter(torch.nn.Conv2d(3, 8, 3, stride=8), num_classes=2)
        >>> batch = {"image": torch.rand(1, 3, 32, 40), "labels": torch.zeros(1, 32, 40).long()}
        >>> scores = evaluate(model, [batch])
        >>> 0 <= scores.pixel_accuracy <= 1
        True
    """
    confusion = _confusion(
        model, loader, ignore_index, at_labels=True, logits_of=logits_of, on_batch=on_batch
    )
    model = check_model(model)
    per_class = iou_per_class(confusion)
    total = active = 0
    if isinstance(model, ScaleProtoSeg):
        total, active = len(model.table), len(active_prototypes(model.head))
    return Scores(
        float(per_class.nanmean()),
        _accuracy(confusion),
        tuple(per_class.tolist()),
        total,
        active,
        int((confusion.sum(1) > 0).sum()),
    )


def grid_scores(
    model: Segmenter, loader: Iterable[Mapping[str, Any]], *, ignore_index: int = 255
) -> dict[str, float]:
    """Score a model at feature resolution, which is cheaper than at the labels' resolution.

    Args:
        model: Model of either kind; it runs in evaluation mode, and its own mode is restored.
        loader: Batches as for :func:`evaluate`.
        ignore_index: Label of pixels that do not count.

    Returns:
        The share of labelled pixels that are predicted correctly ("accuracy") and the mean
        intersection over union ("mean_iou"), in [0, 1].
    """
    confusion = _confusion(model, loader, ignore_index, at_labels=False)
    mean_iou = float(iou_per_class(confusion).nanmean())
    return {"accuracy": _accuracy(confusion), "mean_iou": mean_iou}


@torch.no_grad()
def _confusion(
    model: Segmenter,
    loader: Iterable[Mapping[str, Any]],
    ignore_index: int,
    *,
    at_labels: bool,
    logits_of: Callable[[Tensor], Tensor] | None = None,
    on_batch: Callable[[Tensor, Mapping[str, Any]], None] | None = None,
) -> Tensor:
    """Return the confusion matrix over all processes, at the labels' resolution or the logits'."""
    model, loader = check_model(model), check_iterable("loader", loader)
    for name, call in (("logits_of", logits_of), ("on_batch", on_batch)):
        if call is not None:
            function(name, call)
    device = next(model.parameters()).device
    count = 0
    metric = MeanIoU(model.num_classes, ignore_index).to(device)
    check_finite_weights(model)
    with evaluating(model):
        for batch in loader:
            images, labels = labelled_images("loader", batch)
            count += len(images)
            names = names_of("loader", batch, len(images))
            check_images(images, names)
            logits = (logits_of or model.logits)(images.to(device))
            sizes = {"batch": len(images), "classes": model.num_classes}
            tensor("logits_of(images)", logits, "batch classes height width", sizes=sizes)
            check_each(logits, "logits of {image} are NaN or infinite", names, OVERFLOW)
            labels = labels.to(device)
            check_not_turned(labels.shape[1:], images.shape[2:])
            if not at_labels:
                labels = labels_at(labels, (logits.shape[2], logits.shape[3]))
            predicted = predicted_labels(logits, labels.shape[1:])
            metric.update(predicted, labels)
            if on_batch is not None:
                on_batch(predicted, batch)
    if sum(gather(count)) == 0:
        raise ValueError("loader: got no batch, expected labelled images")
    return metric.confusion()


def _accuracy(confusion: Tensor) -> float:
    return float(confusion.diagonal().sum() / confusion.sum())
