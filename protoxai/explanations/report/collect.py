"""The data of a page from explained images."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoxai.attribution import baseline_logit
from protoxai.explanations.report.encoding import (
    IGNORED,
    encode_array,
    encode_maps,
    encode_overlay,
    encode_picture,
    encode_runs,
)
from protoxai.explanations.report.payload import (
    PageClass,
    PageData,
    PageImage,
    PageMaps,
    PagePicture,
    PagePrototype,
    PageUnit,
)
from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead

MOST_BYTES = 9_200_000
"""Bytes that all maps may take."""
SMALL_ERROR = 0.005
"""Error of a score below which two decimals are right."""


@dataclass(frozen=True)
class InspectedImage:
    """An image of the inspector.

    Attributes:
        name: Name of the image.
        picture: RGB picture, uint8 (any height, any width, 3).
        activations: Activations of all prototypes, (P, h, w).
        logits: Logits, (C, h, w).
        prediction: Predicted labels, (H, W).
        labels: Labels, (H, W), negative where they are ignored; None if there are none.
        familiarity: Familiarity, (H, W), in [0, 1]; None if it is unknown.
    """

    name: str
    picture: NDArray[np.uint8]
    activations: Tensor
    logits: Tensor
    prediction: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None
    familiarity: NDArray[np.float32] | None = None


def collect(
    head: PrototypeHead | SparseGroupHead,
    prototypes: Sequence[Any],
    images: Sequence[InspectedImage],
    classes: Sequence[PageClass],
    *,
    patches: bool,
    inactive: bool,
) -> PageData:
    """Return the data of a page.

    Args:
        head: Head of the model, on the CPU.
        prototypes: Prototypes of the model.
        images: Images of the inspector.
        classes: Name and colour of each class.
        patches: Whether to include the pictures of prototypes.
        inactive: Whether to list the prototypes that the head does not use.
    """
    used = [prototype for prototype in prototypes if prototype.active]
    unused = [prototype for prototype in prototypes if not prototype.active]
    listed = [*used, *unused] if inactive else used
    positions = {prototype.index: position for position, prototype in enumerate(used)}
    indices = torch.tensor(list(positions), dtype=torch.long)
    pages, error = _page_images(head, images, indices)
    entries = [_page_prototype(prototype, patches) for prototype in listed]
    return PageData(
        stage=2 if isinstance(head, SparseGroupHead) else 1,
        scales=head.table.num_scales,
        classes=list(classes),
        units=_units(head, positions),
        last_layer=encode_array(_array(head.class_weights()), "<f4"),
        base=_array(baseline_logit(head)).tolist(),
        prototypes=entries,
        images=pages,
        logit_error=error,
        decimals=decimals(error),
        left_out=0 if inactive else len(unused),
        pictures=any(entry.picture is not None for entry in entries),
    )


def known_labels(labels: Tensor, num_classes: int) -> NDArray[np.int64]:
    """Return labels in which all values that are no class are -1.

    Args:
        labels: Labels, integers (H, W).
        num_classes: Number of classes C.
    """
    known = (labels >= 0) & (labels < num_classes)
    return _array(labels.long().masked_fill(~known, -1))


def rgb_pixels(image: Tensor) -> NDArray[np.uint8]:
    """Return an image as pixels.

    Args:
        image: RGB image (3, H, W), uint8 or in [0, 1].

    Returns:
        Pixels, uint8 (H, W, 3).
    """
    if image.dtype != torch.uint8:
        image = image.clamp(0, 1).mul(255).round().byte()
    return _array(image.permute(1, 2, 0))


def decimals(error: float) -> int:
    """Return the number of decimals, at most 2, that an error leaves right but for rounding.

    Example:
        >>> decimals(0.001), decimals(0.02), decimals(0.3)
        (2, 1, 0)
    """
    return sum(error < half for half in (0.05, SMALL_ERROR))


def _units(head: PrototypeHead | SparseGroupHead, positions: dict[int, int]) -> list[PageUnit]:
    """Return the units of the last layer with their members' positions on the page."""
    classes = head.unit_class.tolist()
    if isinstance(head, SparseGroupHead):
        weights = _array(head.group_weights())
        members = [np.flatnonzero(row) for row in weights]
        shares = [row[own].tolist() for row, own in zip(weights, members, strict=True)]
    else:
        members = [np.array([index]) for index in range(len(classes))]
        shares = [[1.0]] * len(classes)
    units, counts = [], [0] * head.num_classes
    for class_index, own, weight in zip(classes, members, shares, strict=True):
        counts[class_index] += 1
        places = [positions[index] for index in own.tolist()]
        units.append(PageUnit(class_index, counts[class_index], places, weight))
    return units


def _page_images(
    head: PrototypeHead | SparseGroupHead, images: Sequence[InspectedImage], indices: Tensor
) -> tuple[list[PageImage], float]:
    """Return the images of the page, and the largest error of a score computed from them.

    Maps have 16 bits. They have 32 if 16 are too few for two decimals, as where a score is in the
    thousands; and 8 if there is no space for 16.
    """
    # The page computes in double precision.
    head = copy.deepcopy(head).cpu().double()
    values = sum(len(indices) * image.activations[0].numel() for image in images)
    fitting = [bits for bits in (16, 32) if values * bits // 8 <= MOST_BYTES] or [8]
    for bits in fitting:
        encoded = [encode_maps(_array(image.activations[indices]), bits) for image in images]
        error = max(
            (
                _error(head, image, indices, decoded)
                for image, (_, decoded) in zip(images, encoded, strict=True)
            ),
            default=0.0,
        )
        if error < SMALL_ERROR:
            break
    pages = [_page_image(image, maps) for image, (maps, _) in zip(images, encoded, strict=True)]
    return pages, error


@torch.no_grad()
def _error(
    head: PrototypeHead | SparseGroupHead,
    image: InspectedImage,
    indices: Tensor,
    decoded: NDArray[np.float64],
) -> float:
    """Return the largest error of a score that is computed from decoded maps."""
    activations = image.activations.to(torch.float64, copy=True)
    # What the head does not use counts with weight 0, whatever its activation.
    activations[indices] = torch.from_numpy(decoded)
    return float((head(activations[None])[0] - image.logits).abs().max())


def _page_image(image: InspectedImage, maps: PageMaps) -> PageImage:
    """Return an image of the page."""
    right = None
    if image.labels is not None and (image.labels >= 0).any():
        known = image.labels >= 0
        right = float((image.prediction == image.labels)[known].mean())
    labels = image.labels
    return PageImage(
        name=image.name,
        size=(image.prediction.shape[0], image.prediction.shape[1]),
        picture=encode_picture(image.picture),
        maps=maps,
        prediction=encode_runs(image.prediction),
        labels=None if labels is None else encode_runs(np.where(labels < 0, IGNORED, labels)),
        familiarity=_familiarity_runs(image.familiarity),
        share_right=right,
    )


def _familiarity_runs(familiarity: NDArray[np.float32] | None) -> str | None:
    if familiarity is None:
        return None
    return encode_runs(np.rint(familiarity * 255).astype(np.int64))


def _page_prototype(prototype: Any, patches: bool) -> PagePrototype:
    source = prototype.provenance
    return PagePrototype(
        index=prototype.index,
        class_index=prototype.class_index,
        scale=prototype.scale,
        active=prototype.active,
        image_id=None if source is None else source.image_id,
        picture=_page_picture(prototype) if patches else None,
    )


def _page_picture(prototype: Any) -> PagePicture | None:
    pixels = prototype.patch
    if pixels is None:
        return None
    overlay = prototype.activation
    return PagePicture(
        source=encode_picture(pixels),
        size=(pixels.shape[0], pixels.shape[1]),
        box=prototype.box,
        cell=prototype.cell,
        activation=None if overlay is None else encode_overlay(overlay),
    )


def _array(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.detach().cpu().numpy()
    return array
