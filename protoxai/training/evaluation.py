"""How well a model segments a data set."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from protoxai.metrics import MeanIoU, active_prototypes
from protoxai.model import ScaleProtoSeg
from protoxai.scales import resize
from protoxai.segmenter import Segmenter, evaluating
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


@torch.no_grad()
def evaluate(model: Segmenter, loader: Loader, *, ignore_index: int = 255) -> Scores:
    """Score a model: logits resized to the labels, one confusion matrix over all images.

    Args:
        model: any model of the library; its mode is restored.
        loader: of whole images; labels may be larger than images.
        ignore_index: label of pixels that do not count.
    """
    device = next(model.parameters()).device
    metric = MeanIoU(model.num_classes, ignore_index).to(device)
    with evaluating(model):
        for batch in loader:
            labels = batch["labels"].to(device)
            logits = model(batch["image"].to(device)).logits
            metric.update(resize(logits, labels.shape[1:]).argmax(1), labels)
    confusion = metric.confmat
    total = active = 0
    if isinstance(model, ScaleProtoSeg):
        total, active = len(model.table), len(active_prototypes(model.head))
    return Scores(
        float(metric.compute()),
        float(confusion.diagonal().sum() / confusion.sum()),
        tuple(metric.per_class().tolist()),
        total,
        active,
    )
