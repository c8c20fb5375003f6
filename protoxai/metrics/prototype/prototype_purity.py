"""Prototype purity: whether the patches that activate a prototype most show the same thing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.labels import check_ignore_index, check_labels
from protoxai.metrics.base.checks import SEED, seeds_of
from protoxai.metrics.base.per_image import ImageRows, Index
from protoxai.metrics.prototype.best_patches import (
    EMPTY,
    best_of,
    candidate_patches,
    contents_by_class,
    merged,
)
from protoxai.metrics.prototype.chance_purity import chance_purity
from protoxai.metrics.prototype.part_hits import check_part_class, check_scenes
from protoxai.metrics.prototype.part_metric import check_active
from protoxai.metrics.prototype.patch_contents import NOTHING
from protoxai.prototypes.table import PrototypeTable, check_table
from protoxai.runtime.checks import Range, whole
from protoxai.runtime.tensors import tensor

PATCHES = 10
NUMBER = Range(least=1, most=100)


class Purities(NamedTuple):
    """Purity of prototypes; ``float()`` returns the mean of purity - frequency - chance.

    A prototype whose class is shown by fewer images than there are patches is not seen, and so is
    one of a class without parts: its numbers are NaN, and it does not count.

    Attributes:
        purity: Share of each prototype's patches that show its most frequent part or class (P,).
        frequency: Share of all patches that show it, averaged over images (P,).
        chance: Expected purity - frequency of as many random patches (P,).
        shown: Most frequent part or class, int64 (P,); -1 if no patch shows any.
        unseen: Prototypes that are not seen, int64.
    """

    purity: Tensor
    frequency: Tensor
    chance: Tensor
    shown: Tensor
    unseen: Tensor

    def __float__(self) -> float:
        return float((self.purity - self.frequency - self.chance).nanmean())

    def __str__(self) -> str:
        purity = float(self.purity.nanmean())
        chance = float((self.frequency + self.chance).nanmean())
        text = f"{float(self):.4g} ({purity:.4g}, and {chance:.4g} by chance)"
        if len(self.unseen):
            names = ", ".join(map(str, self.unseen.tolist()))
            text += f"; {len(self.unseen)} prototypes are not seen: {names}"
        return text


def prototype_purity(
    activations: Tensor,
    labels: Tensor,
    table: PrototypeTable,
    parts: Tensor | None = None,
    part_class: Sequence[int] | None = None,
    *,
    patches: int = PATCHES,
    ignore_index: int = 255,
    seeds: Sequence[int] | None = None,
) -> Purities:
    """Return how many of each prototype's most activated patches show the same part or class.

    Nauta et al., "PIP-Net: Patch-based intuitive prototypes for interpretable image
    classification", CVPR 2023, section 5. Each image has one patch of a prototype: that of its
    highest activation. The ten patches (``patches``) with the highest activation over all images
    are compared. Purity is the share of them that show the most frequent part.

    A patch is the box of a feature pixel in the image as the projection shows it
    (:func:`~protoxai.projection.active_region.patch_box`), and shows what most of its pixels are.
    With part labels these are the parts of the prototype's class, and its patches are those whose
    centre is of this class: does the prototype always show the same part? Without, patches lie
    anywhere in the image, and show a class.

    The part's frequency among all patches is subtracted, and what random patches have beyond it,
    because the most frequent part is chosen afterwards: 0 is chance, and patches that always show a
    rare part have nearly 1.

    Args:
        activations: Activations of all prototypes (B, P, h, w), or any other maps whose highest
            values are the patches to compare.
        labels: Labels (B, H, W).
        table: Class and scale of each prototype.
        parts: Part number of every pixel (B, H, W), 0 for none; None to compare classes.
        part_class: Class of each of the K part numbers, with ``parts``.
        patches: Number of patches of each prototype, at most 100.
        ignore_index: Label of pixels that do not count.
        seeds: Seed of each image's order among equal activations; by default its place in the
            batch. Of images with equal activations the first ones count.

    Returns:
        Purity, frequency and chance of each prototype, and its most frequent part or class.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If shapes do not fit, or only one of ``parts`` and ``part_class`` is given.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> table = PrototypeTable([0], [0], num_classes=1, num_scales=1)
        >>> activations = torch.tensor([[[[0.0, 1.0]]], [[[9.0, 0.0]]], [[[0.0, 5.0]]]])
        >>> parts = torch.tensor([[[1, 1, 2, 2]], [[2, 2, 1, 1]], [[2, 2, 1, 1]]])
        >>> labels = torch.zeros_like(parts)
        >>> print(prototype_purity(activations, labels, table, parts, (0, 0, 0), patches=2))
        -0.25 (0.5, and 0.75 by chance)
    """
    metric = PrototypePurity(table, part_class, patches=patches, ignore_index=ignore_index)
    images = metric._check(activations, labels, parts)
    metric._add(activations, labels, parts, torch.arange(images), seeds_of(seeds, images))
    return metric.per_prototype()


class PrototypePurity(ImageRows):
    """Mean purity of prototypes minus chance; higher is better, and 0 is chance.

    See :func:`prototype_purity`. Of the images only the best patches of each prototype and the
    frequencies of what the patches show are kept, so there is no interval. Any activation maps are
    compared, such as those of :class:`~protoxai.attribution.ExamplePrototypes` for a model without
    prototypes.

    Args:
        table: Class and scale of each prototype.
        part_class: Class of each part number, such as ``Shapes.part_class``; None to compare
            classes instead of parts.
        active: Indices of the prototypes that count, from ``active_prototypes``; None for all.
        patches: Number of patches of each prototype, at most 100.
        ignore_index: Label of pixels that do not count.
        seed: Seed of the order among equal activations.
        **options: Options of ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> metric = PrototypePurity(PrototypeTable.regular(2, 1, 1), patches=2)
        >>> labels = torch.tensor([[[0, 1, 1, 1]]] * 2)
        >>> metric.update(torch.tensor([[[[9.0, 0, 0, 0]], [[0, 0, 0, 9.0]]]] * 2), labels)
        >>> metric.compute()
        {'prototype_purity': 0.21875, 'pure_patches': 1.0, 'pure_by_chance': 0.78125}
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "prototype_purity": True,
        "pure_patches": None,
        "pure_by_chance": None,
    }
    higher_is_better = True
    full_state_update = True
    best: Tensor

    def __init__(
        self,
        table: PrototypeTable,
        part_class: Sequence[int] | None = None,
        active: Tensor | None = None,
        *,
        patches: int = PATCHES,
        ignore_index: int = 255,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.table = check_table(table).to("cpu")
        self.part_class = part_class if part_class is None else check_part_class(part_class, table)
        self.active = active
        self._counted = check_active(active, len(table))
        self.patches = whole("patches", patches, NUMBER)
        self.ignore_index = check_ignore_index(ignore_index, table.num_classes)
        self.seed = whole("seed", seed, SEED)
        self._contents = contents_by_class(table.num_classes, self.part_class)
        self._add_rows(len(self.part_class or range(table.num_classes)))
        empty = torch.tensor(EMPTY, dtype=torch.float64)
        best = empty.repeat(len(self._counted), self.patches, 1)
        self.add_state("best", best, dist_reduce_fx=merged)

    def update(
        self, activations: Tensor, labels: Tensor, parts: Tensor | None = None, index: Index = None
    ) -> None:
        """Add images.

        Args:
            activations: Activations of all prototypes (B, P, h, w).
            labels: Labels (B, H, W).
            parts: Part number of every pixel (B, H, W), 0 for none; if the metric compares parts.
            index: Data set index of each image; None numbers them.
        """
        indices = self.image_indices(index, self._check(activations, labels, parts))
        self._add(activations, labels, parts, indices, (indices + self.seed).tolist())

    def compute(self) -> dict[str, float]:
        """Return each figure by name, as means over the prototypes that are seen."""
        found = self._purities()
        by_chance = found.frequency + found.chance
        means = float(found), float(found.purity.nanmean()), float(by_chance.nanmean())
        return dict(zip(self.figures, means, strict=True))

    def per_prototype(self) -> Purities:
        """Return the purities of the active prototypes, in the order of their indices.

        ``unseen`` holds indices of the table.
        """
        with self.sync_context():
            return self._purities()

    def _purities(self) -> Purities:
        frequencies, best = self._unique_rows()[1].cpu().nanmean(0), self.best.cpu()
        content = best[:, :, 2].long()
        counts = torch.zeros(len(best), self._width, dtype=torch.float64)
        counts.scatter_add_(1, content.clamp_min(0), (content != NOTHING).double())
        most, shown = counts.max(1)
        chance = self._chances(frequencies)[self.table.class_index[self._counted]]
        unseen = (best[:, :, 0] == -torch.inf).any(1) | chance.isnan()
        return Purities(
            (most / self.patches).masked_fill(unseen, torch.nan),
            frequencies[shown].masked_fill(most == 0, 0).masked_fill(unseen, torch.nan),
            chance.masked_fill(unseen, torch.nan),
            shown.masked_fill(unseen | (most == 0), NOTHING),
            self._counted[unseen],
        )

    def _chances(self, frequencies: Tensor) -> Tensor:
        """Return the chance of each class's prototypes (C,); NaN if no patch is known."""
        chances = torch.full((self.table.num_classes,), torch.nan, dtype=torch.float64)
        for classes, contents in self._contents:
            known = frequencies[contents].tolist()
            if not any(map(math.isnan, known)):
                chances[classes] = chance_purity(known, self.patches)
        return chances

    @torch.no_grad()
    def _add(
        self,
        activations: Tensor,
        labels: Tensor,
        parts: Tensor | None,
        indices: Tensor,
        seeds: Sequence[int],
    ) -> None:
        rows = torch.full((len(indices), self._width), torch.nan, dtype=torch.float64)
        patches = torch.tensor(EMPTY, dtype=torch.float64).repeat(len(self._counted), len(rows), 1)
        grid = (activations.shape[2], activations.shape[3])
        for row, (index, seed) in enumerate(zip(indices.tolist(), seeds, strict=True)):
            maps = activations[row].cpu()[self._counted].double()
            own = labels[row].cpu(), None if parts is None else parts[row].cpu()
            order = torch.randperm(grid[0] * grid[1], generator=torch.Generator().manual_seed(seed))
            for classes, contents in self._contents:
                among = candidate_patches(*own, classes, contents, grid)
                if among is not None:
                    rows[row, contents] = among.frequencies(contents)
                    members = torch.isin(self.table.class_index[self._counted], classes)
                    patches[members, row] = among.best(maps[members], order, index)
        self.add_values(rows, indices)
        self.best = best_of(torch.cat([self.best, patches.to(self.best)], 1), self.patches)

    def _check(self, activations: Tensor, labels: Tensor, parts: Tensor | None) -> int:
        """Return the number of images, or raise an error if anything does not fit."""
        if (parts is None) != (self.part_class is None):
            given, missing = ("part_class", "parts") if parts is None else ("parts", "part_class")
            raise ValueError(
                f"got {given} without {missing}: give both to compare parts, neither to compare "
                "classes"
            )
        dims, sizes = "batch prototypes height width", {"prototypes": len(self.table)}
        images = len(tensor("activations", activations, dims, sizes=sizes))
        dims, hint = "batch height width", "one map for each image of the activations"
        tensor("labels", labels, dims, "integers", hint=hint, sizes={"batch": images})
        check_labels(labels, self.table.num_classes, self.ignore_index)
        if parts is not None and self.part_class is not None:
            check_scenes(activations, labels, parts, self.table, self.part_class)
        return images
