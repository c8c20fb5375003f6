"""The patches that activate prototypes most, over any number of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from protoxai.labels import labels_at
from protoxai.metrics.prototype.patch_contents import NOTHING, patch_contents

EMPTY = (-torch.inf, -1.0, float(NOTHING))
"""Activation, image and content of a patch that is not found yet."""


def contents_by_class(
    num_classes: int, part_class: Sequence[int] | None
) -> list[tuple[Tensor, Tensor]]:
    """Return classes whose patches are compared with each other, and what these may show.

    Args:
        num_classes: Number of classes.
        part_class: Class of each part number; None if patches show classes.

    Returns:
        Pairs of classes (n,) and contents (N,): with parts, each class that has any and its parts;
        without, all classes at once.
    """
    if part_class is None:
        return [(torch.arange(num_classes), torch.arange(num_classes))]
    class_of = torch.tensor(part_class)
    class_of[0] = NOTHING
    return [
        (torch.tensor([c]), (class_of == c).nonzero()[:, 0])
        for c in class_of.unique().tolist()
        if c != NOTHING
    ]


class CandidatePatches(NamedTuple):
    """Patches of an image that are compared with each other.

    Attributes:
        candidates: Feature pixels of the patches, bool (h, w).
        shown: What each patch shows, int64 (h, w).
    """

    candidates: Tensor
    shown: Tensor

    def frequencies(self, contents: Tensor) -> Tensor:
        """Return the share of the patches that shows each content (N,), float64."""
        shown = self.shown[self.candidates]
        return (shown == contents[:, None]).double().mean(1)

    def best(self, maps: Tensor, order: Tensor, index: int) -> Tensor:
        """Return activation, image and content of the patch where each map is highest.

        Args:
            maps: Activations (M, h, w), float64; there is no patch where one is NaN.
            order: Order of the feature pixels among equal activations, (h * w,).
            index: Data set index of the image.

        Returns:
            A row for each map, (M, 3).
        """
        excluded = maps.isnan() | ~self.candidates
        values, place = maps.masked_fill(excluded, -torch.inf).flatten(1)[:, order].max(1)
        content = self.shown.flatten()[order[place]]
        found = torch.stack([values, torch.full_like(values, index), content.double()], 1)
        return torch.where(values[:, None] > -torch.inf, found, found.new_tensor(EMPTY))


def candidate_patches(
    labels: Tensor,
    parts: Tensor | None,
    classes: Tensor,
    contents: Tensor,
    grid: tuple[int, int],
) -> CandidatePatches | None:
    """Return the patches of classes in an image, those whose centres have such a label.

    Args:
        labels: Labels (H, W).
        parts: Part number of every pixel (H, W); None if patches show classes.
        classes: Classes whose patches are compared.
        contents: What they may show: parts of these classes, or the classes.
        grid: Height and width (h, w) of the feature grid.

    Returns:
        The patches; None if there is none.
    """
    candidates = torch.isin(labels_at(labels, grid), classes)
    if not bool(candidates.any()):
        return None
    values = labels if parts is None else parts
    counted = torch.isin(labels, classes) & torch.isin(values, contents)
    return CandidatePatches(candidates, patch_contents(values, counted, grid))


def best_of(patches: Tensor, count: int) -> Tensor:
    """Return the patches of the highest activation, at most one of each image.

    Of equal activations those of the first images are returned.

    Args:
        patches: Activation, image and content of patches, (P, n, 3).
        count: Number k of patches to return, at most n.

    Returns:
        Patches (P, k, 3) by falling activation, empty ones last.

    Example:
        >>> import torch
        >>> best_of(torch.tensor([[[0.5, 7, 1], [0.9, 4, 2], [0.9, 4, 2]]]), 2)
        tensor([[[0.9000, 4.0000, 2.0000],
                 [0.5000, 7.0000, 1.0000]]])
    """
    by_image = _sorted(_sorted(patches, 0, descending=True), 1)
    again = torch.zeros_like(by_image[:, :, 0], dtype=torch.bool)
    again[:, 1:] = by_image[:, 1:, 1] == by_image[:, :-1, 1]
    once = torch.where(again[:, :, None], by_image.new_tensor(EMPTY), by_image)
    return _sorted(once, 0, descending=True)[:, :count]


def merged(states: Tensor) -> Tensor:
    """Return the best patches (P, k, 3) of those of several processes, (n, P, k, 3)."""
    return best_of(states.movedim(0, 1).flatten(1, 2), states.shape[2])


def _sorted(patches: Tensor, column: int, descending: bool = False) -> Tensor:
    order = patches[:, :, column].argsort(dim=1, descending=descending, stable=True)
    return patches.gather(1, order[:, :, None].expand_as(patches))
