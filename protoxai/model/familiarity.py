"""Familiarity: how near pixels are to what the prototypes of their class saw in training."""

from __future__ import annotations

import torch
from torch import Tensor

from protoxai.labels import labels_at
from protoxai.prototypes.table import PrototypeTable


@torch.no_grad()
def familiarity(
    distances: Tensor, prediction: Tensor, class_distances: Tensor | None, table: PrototypeTable
) -> Tensor:
    """Return how familiar each pixel of an image looks, compared with the training images.

    A pixel's distance is the one to the nearest prototype of its predicted class, at its cell of
    the feature grid (nearest, centres aligned). Its familiarity is the share of the class's
    training pixels that are at least as far from their nearest prototype. It decreases in the
    distance, and is uniform from 0 to 1 over pixels that are like the training pixels.

    Args:
        distances: Squared distances (P, h, w) of one image.
        prediction: Predicted labels, int64 (H, W).
        class_distances: Squared distances (P, n) from n training pixels of each prototype's class
            to the projected prototype, the same pixels for all prototypes of a class; NaN where a
            class has fewer. A model has them as ``class_distances``.
        table: Class and scale of each prototype.

    Returns:
        Familiarity (H, W), in [0, 1]. It is 0 where the predicted class has no prototype or no
        training pixel: nothing known looks like it.

    Raises:
        ValueError: If there are no distances of training pixels.

    Example:
        >>> table = PrototypeTable([0, 0], [0, 0], num_classes=1, num_scales=1)
        >>> known = torch.tensor([[1.0, 2.0, 9.0, 9.0], [9.0, 9.0, 3.0, 4.0]])
        >>> distances = torch.tensor([[[0.5, 2.5, 9.0]], [[9.0, 9.0, 5.0]]])
        >>> familiarity(distances, torch.zeros(1, 3, dtype=torch.int64), known, table)
        tensor([[1.0000, 0.5000, 0.0000]])
    """
    if class_distances is None:
        raise ValueError(
            "the model does not know how far the training images are from its prototypes, which "
            "familiarity (abstain_below) is measured by: project it with project_prototypes"
        )
    result = torch.zeros(prediction.shape, device=prediction.device)
    classes = table.class_index.to(distances.device)
    for class_index in prediction.unique().tolist():
        own = classes == class_index
        known = class_distances.to(distances)[own]
        known = known[:, ~known.isnan().any(0)]
        if not known.numel():
            continue
        nearest, order = distances[own].amin(0), known.amin(0).sort().values
        nearer = torch.searchsorted(order, nearest.contiguous())
        shares = 1 - nearer.to(result) / len(order)
        pixels = labels_at(shares, (prediction.shape[0], prediction.shape[1]))
        result = torch.where(prediction == class_index, pixels, result)
    return result
