"""Counts of pixels by class, of which the scores of a segmentation are made.

A tally (3, C) holds the hits, the labelled and the predicted pixels of each class, among the pixels
that are labelled. Tallies of images add up to the tally of the data set.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from protoxai.metrics.base.groups import (
    GroupOf,
    groups_by_index,
    numbered_groups,
    sums_by_group,
)
from protoxai.metrics.base.jackknife import jackknife_interval

LEAST = 6
"""Smallest number of tallies for which an interval is given."""


class ClassScores(NamedTuple):
    """Scores of each class, in [0, 1]; NaN where the denominator is 0.

    Attributes:
        iou: Hits over the pixels that are labelled or predicted as the class.
        dice: Twice the hits over the sum of labelled and predicted pixels.
        precision: Share of the pixels predicted as the class that are labelled so.
        recall: Share of the pixels labelled as the class that are predicted so.
    """

    iou: Tensor
    dice: Tensor
    precision: Tensor
    recall: Tensor


def image_tallies(predicted: Tensor, labels: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Return the tally of each image, int64 (B, 3, C).

    Args:
        predicted: Predicted classes, int64 (B, ...).
        labels: Labels (B, ...).
        num_classes: Number of classes C.
        ignore_index: Label of pixels that do not count.
    """
    number = len(labels)
    images = torch.arange(number, device=labels.device)
    images = images.view(-1, *[1] * (labels.dim() - 1)).expand_as(labels)
    counted = labels != ignore_index
    images, predicted, labels = images[counted], predicted[counted], labels[counted]
    hit = predicted == labels
    chosen = [(images[hit], labels[hit]), (images, labels), (images, predicted)]
    tallies = [
        torch.bincount(i * num_classes + c, minlength=number * num_classes) for i, c in chosen
    ]
    return torch.stack([tally.view(number, -1) for tally in tallies], 1)


def class_scores(tallies: Tensor) -> ClassScores:
    """Return the scores of each class.

    Args:
        tallies: Tallies (..., 3, C).

    Example:
        >>> scores = class_scores(torch.tensor([[2, 0, 0], [3, 1, 0], [2, 2, 0]]))
        >>> scores.iou, scores.recall
        (tensor([0.6667, 0.0000,    nan]), tensor([0.6667, 0.0000,    nan]))
    """
    # Sums of whole numbers, in which large counts stay exact.
    hits, labelled, predicted = tallies.unbind(-2)
    return ClassScores(
        hits / (labelled + predicted - hits),
        2 * hits / (labelled + predicted),
        hits / predicted,
        hits / labelled,
    )


def grouped_tallies(indices: Tensor, tallies: Tensor, group_of: GroupOf | None = None) -> Tensor:
    """Return the sums (g, 3, C) of the tallies of each group that has a labelled pixel.

    Args:
        indices: Data set indices (n,) of the images.
        tallies: Their tallies (n, 3, C).
        group_of: Function from an index to a group; None if each image is its own.
    """
    if group_of is not None:
        groups = groups_by_index(indices, group_of)
        tallies = sums_by_group(tallies, numbered_groups(groups, len(groups)))
    return tallies[tallies[:, 1].sum(-1) > 0]


def mean_iou_interval(tallies: Tensor) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean IoU, within [0, 1].

    Args:
        tallies: Tallies (g, 3, C) of images, or of groups of images, that are independent.

    Returns:
        The lower and the upper end; None for fewer than 6 tallies.
    """
    if len(tallies) < LEAST:
        return None
    interval = jackknife_interval(tallies, lambda sums: class_scores(sums).iou.nanmean(-1))
    return interval and (max(interval[0], 0.0), min(interval[1], 1.0))
