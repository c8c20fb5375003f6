"""How well a model segments a data set."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from protoxai.labels import labels_at
from protoxai.metrics import MeanIoU, active_prototypes, iou_per_class
from protoxai.model import ScaleProtoSeg
from protoxai.modes import evaluating
from protoxai.scales import resize
from protoxai.segmenter import Segmenter
from protoxai.training.loaders import Loader


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


def evaluate(model: Segmenter, loader: Loader, *, ignore_index: int = 255) -> Scores:
    """Score a model: logits resized to the labels, one confusion matrix over all images.

    Args:
        model: any model of the library; its mode is restored.
        loader: of whole images, each process's share; labels may be larger than images.
        ignore_index: label of pixels that do not count.
    """
    confusion = _confusion(model, loader, ignore_index, at_labels=True)
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


def grid_accuracy(model: Segmenter, loader: Loader, *, ignore_index: int = 255) -> float:
    """Return the share of labelled pixels that are right at feature resolution, in [0, 1]."""
    return _accuracy(_confusion(model, loader, ignore_index, at_labels=False))


@torch.no_grad()
def _confusion(model: Segmenter, loader: Loader, ignore_index: int, *, at_labels: bool) -> Tensor:
    """Count over all processes, at the labels' resolution or at the logits'."""
    device = next(model.parameters()).device
    metric = MeanIoU(model.num_classes, ignore_index).to(device)
    with evaluating(model):
        for batch in loader:
            logits = model(batch["image"].to(device)).logits
            labels = batch["labels"].to(device)
            if at_labels:
                logits = resize(logits, labels.shape[1:])
            labels = labels_at(labels, (logits.shape[2], logits.shape[3]))
            metric.update(logits.argmax(1), labels)
    return metric.confusion()


def _accuracy(confusion: Tensor) -> float:
    return float(confusion.diagonal().sum() / confusion.sum())
