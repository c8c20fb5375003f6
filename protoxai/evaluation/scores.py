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
from protoxai.metrics.base.groups import GroupOf
from protoxai.metrics.segmentation.tallies import (
    LEAST,
    class_scores,
    grouped_tallies,
    mean_iou_interval,
)
from protoxai.model.prediction import predicted_labels
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.batches import check_iterable, labelled_images, names_of
from protoxai.runtime.checks import function
from protoxai.runtime.distributed import gather, rank, world_size
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
        dice: Dice coefficient (F1) of each class, in [0, 1].
        precision: Share of the pixels predicted as each class that are labelled so, in [0, 1].
        recall: Share of the pixels labelled as each class that are predicted so, in [0, 1].
        interval: Lower and upper end of the 95 % interval of the mean IoU, by the jackknife over
            images or groups of images; None if there are too few.
        images: Number of images with a labelled pixel; None if it was not counted.
        unlabelled_images: Number of images without a labelled pixel.
        groups: Number of groups of images with a labelled pixel; None if each image is its own.

    Values of classes are NaN where they are not defined, and empty if they were not computed.
    """

    mean_iou: float
    pixel_accuracy: float
    per_class: tuple[float, ...]
    prototypes: int
    active_prototypes: int
    labelled_classes: int | None = None
    dice: tuple[float, ...] = ()
    precision: tuple[float, ...] = ()
    recall: tuple[float, ...] = ()
    interval: tuple[float, float] | None = None
    images: int | None = None
    unlabelled_images: int = 0
    groups: int | None = None

    @property
    def caution(self) -> str:
        """What the mean IoU has to be read with; empty for labels of several classes."""
        return CAUTIONS.get(self.labelled_classes, "")

    @property
    def independent(self) -> str:
        """What the interval is over, such as "101 images"; empty if it was not counted."""
        if self.groups is not None:
            return f"{self.groups} group{'s' * (self.groups != 1)} of images"
        return "" if self.images is None else f"{self.images} image{'s' * (self.images != 1)}"

    @property
    def why_no_interval(self) -> str:
        """Why the mean IoU has no interval; empty if it has one."""
        if self.interval is not None or self.images is None:
            return ""
        return f"{self.independent} with labels, an interval needs {LEAST}"

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
        if self.interval is not None:
            low, high = self.interval
            text += f" [{100 * low:.2f}, {100 * high:.2f}]"
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
    group_of: GroupOf | None = None,
) -> Scores:
    """Score a model by the pixels of all images together, at the resolution of the labels.

    Args:
        model: Model of either kind; it runs in evaluation mode, and its own mode is restored.
        loader: Batches with "image" (B, 3, H, W) and "labels" (B, H', W'), of uncropped images;
            each process has its own share. Labels may be larger than the images. Images of one
            "index" (B,), their position in the data set, count once.
        ignore_index: Label of pixels that do not count.
        logits_of: Function from images (B, 3, H, W) to logits (B, C, h, w), such as a sliding
            window; None: the model's ``logits``.
        on_batch: Function that receives the predictions (B, H', W') and the batch, for each batch.
        group_of: Function from an image's index to its group, such as its video or patient, if
            images belong together; the interval of the mean IoU is over groups then.

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
    if group_of is not None:
        function("group_of", group_of)
    metric = _measured(
        model,
        loader,
        ignore_index,
        at_labels=True,
        needs_index=group_of is not None,
        logits_of=logits_of,
        on_batch=on_batch,
    )
    indices, tallies = metric.per_image()
    hits, labelled, _ = total = tallies.sum(0)
    groups = grouped_tallies(indices, tallies, group_of)
    images = int((tallies[:, 1].sum(1) > 0).sum())
    classes = class_scores(total)
    model = check_model(model)
    prototypes = active = 0
    if isinstance(model, ScaleProtoSeg):
        prototypes, active = len(model.table), len(active_prototypes(model.head))
    return Scores(
        mean_iou=float(classes.iou.nanmean()),
        pixel_accuracy=float(hits.sum() / labelled.sum()),
        per_class=tuple(classes.iou.tolist()),
        prototypes=prototypes,
        active_prototypes=active,
        labelled_classes=int((labelled > 0).sum()),
        dice=tuple(classes.dice.tolist()),
        precision=tuple(classes.precision.tolist()),
        recall=tuple(classes.recall.tolist()),
        interval=mean_iou_interval(groups),
        images=images,
        unlabelled_images=len(tallies) - images,
        groups=None if len(groups) == images else len(groups),
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
    confusion = _measured(model, loader, ignore_index, at_labels=False).confusion()
    accuracy = float(confusion.diagonal().sum() / confusion.sum())
    return {"accuracy": accuracy, "mean_iou": float(iou_per_class(confusion).nanmean())}


@torch.no_grad()
def _measured(
    model: Segmenter,
    loader: Iterable[Mapping[str, Any]],
    ignore_index: int,
    *,
    at_labels: bool,
    needs_index: bool = False,
    logits_of: Callable[[Tensor], Tensor] | None = None,
    on_batch: Callable[[Tensor, Mapping[str, Any]], None] | None = None,
) -> MeanIoU:
    """Return the metric over the images, at the labels' resolution or the logits'."""
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
            if needs_index and "index" not in batch:
                raise ValueError(
                    'loader: got a batch without "index", but group_of needs the positions of the '
                    "images in the data set"
                )
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
            # Images without an index get one that no other process gives.
            numbers = torch.arange(count - len(images), count) * world_size() + rank()
            metric.update(predicted, labels, batch.get("index", numbers))
            if on_batch is not None:
                on_batch(predicted, batch)
    if sum(gather(count)) == 0:
        raise ValueError("loader: got no batch, expected labelled images")
    return metric
