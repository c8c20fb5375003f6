"""How well a model segments a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from protoxai.labels import labels_at
from protoxai.metrics import MeanIoU, active_prototypes, iou_per_class
from protoxai.model.prediction import predicted_labels
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.modes import evaluating


@dataclass(frozen=True)
class Scores:
    """A model's scores on a data set.

    Attributes:
        mean_iou: mean intersection over union, in [0, 1].
        pixel_accuracy: share of labelled pixels that are right, in [0, 1].
        per_class: intersection over union of each class.
        prototypes: prototypes in all; 0 without.
        active_prototypes: those in use; 0 without.
    """

    mean_iou: float
    pixel_accuracy: float
    per_class: tuple[float, ...]
    prototypes: int
    active_prototypes: int

    def __str__(self) -> str:
        text = f"mIoU {100 * self.mean_iou:.2f}, pixel accuracy {100 * self.pixel_accuracy:.2f}"
        if self.prototypes:
            text += f", {self.active_prototypes} of {self.prototypes} prototypes active"
        return text


def evaluate(
    model: Segmenter,
    loader: Iterable[Mapping[str, Any]],
    *,
    ignore_index: int = 255,
    logits_of: Callable[[Tensor], Tensor] | None = None,
    seen: Callable[[Tensor, Mapping[str, Any]], None] | None = None,
) -> Scores:
    """Score a model: logits resized to the labels, one confusion matrix over all images.

    Args:
        model: any model of the library; its mode is restored.
        loader: of whole images, each process's share; labels may be larger than images.
        ignore_index: label of pixels that do not count.
        logits_of: from images (B, 3, H, W) to logits (B, C, h, w); None: the model itself.
        seen: is given the predictions of each batch (B, H', W') and the batch.
    """
    confusion = _confusion(
        model, loader, ignore_index, at_labels=True, logits_of=logits_of, seen=seen
    )
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
    )


def grid_scores(
    model: Segmenter, loader: Iterable[Mapping[str, Any]], *, ignore_index: int = 255
) -> dict[str, float]:
    """Return scores at feature resolution, cheaper than those at the labels' own.

    Returns:
        "accuracy", the share of labelled pixels that are right, and "mean_iou", in [0, 1].
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
    seen: Callable[[Tensor, Mapping[str, Any]], None] | None = None,
) -> Tensor:
    """Count over all processes, at the labels' resolution or at the logits'."""
    device = next(model.parameters()).device
    metric = MeanIoU(model.num_classes, ignore_index).to(device)
    with evaluating(model):
        for batch in loader:
            images = batch["image"].to(device)
            logits = (logits_of or model.logits)(images)
            labels = batch["labels"].to(device)
            if not at_labels:
                labels = labels_at(labels, (logits.shape[2], logits.shape[3]))
            predicted = predicted_labels(logits, labels.shape[1:])
            metric.update(predicted, labels)
            if seen is not None:
                seen(predicted, batch)
    return metric.confusion()


def _accuracy(confusion: Tensor) -> float:
    return float(confusion.diagonal().sum() / confusion.sum())
