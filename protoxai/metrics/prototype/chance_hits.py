"""Parts that a prototype hits by chance: those that its maps of other images hit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from protoxai.metrics.base.checks import COUNT, seeds_of
from protoxai.metrics.prototype.part_hits import check_scenes, hits_in, part_centres
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.checks import whole

PARTNERS = 10
"""Number of other images whose maps are laid over each image."""


class Scene(NamedTuple):
    """One image, as far as the chance of hits depends on it; all tensors are on the CPU.

    Attributes:
        seed: Seed of the order among equal activations, and of the choice of other images.
        labels: Labels (H, W).
        centres: Centroids of the parts, from :func:`part_centres`, (C, 2).
        maps: Activations (M, h, w) of the prototypes whose class shows a part.
        class_of: Class of each of these prototypes (M,).
    """

    seed: int
    labels: Tensor
    centres: Tensor
    maps: Tensor
    class_of: Tensor


@torch.no_grad()
def chance_hits(
    activations: Tensor,
    labels: Tensor,
    parts: Tensor,
    table: PrototypeTable,
    part_class: Sequence[int],
    *,
    partners: int = PARTNERS,
    seeds: Sequence[int] | None = None,
) -> Tensor:
    """Return the hits of :func:`part_hits` for maps of other images of the class.

    A map that does not depend on where the parts are hits as many of them in another image as in
    its own, so that these hits are what chance, and a fixed preference for a place, explain.

    Args:
        activations: Activations of all prototypes (B, P, h, w).
        labels: Labels (B, H, W).
        parts: Part number of every pixel (B, H, W), 0 for none.
        table: Class and scale of each prototype.
        part_class: Class of each of the K part numbers.
        partners: Number R of other images for each image and class. They are drawn from those that
            show a part of the class, each once before one is drawn again.
        seeds: Seed of each image, for the draw and as in :func:`part_hits`.

    Returns:
        Float (B, R, P, K): 1 where hit, 0 where missed, NaN where the image does not show the part,
        the part is not of the prototype's class, or no other image shows the class.

    Raises:
        ValueError: If shapes do not fit, or a part number has no class.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> activations = torch.tensor([[[[9.0, 0.0, 0.0, 0.0]]], [[[0.0, 0.0, 0.0, 9.0]]]])
        >>> labels, parts = torch.zeros(2, 1, 4).long(), torch.tensor([[[1, 0, 0, 0]]] * 2)
        >>> table = PrototypeTable([0], [0], num_classes=1, num_scales=1)
        >>> chance_hits(activations, labels, parts, table, (0, 0), partners=1)[:, 0, 0, 1]
        tensor([0., 1.])
    """
    part_class = check_scenes(activations, labels, parts, table, part_class)
    partners = whole("partners", partners, COUNT)
    seeds = seeds_of(seeds, len(activations))
    scenes = [
        scene_of(*one, table, part_class)
        for one in zip(activations, labels, parts, seeds, strict=True)
    ]
    return hits_of_others(scenes, table, part_class, partners)


def scene_of(
    maps: Tensor,
    labels: Tensor,
    parts: Tensor,
    seed: int,
    table: PrototypeTable,
    part_class: Sequence[int],
) -> Scene:
    """Return an image's scene from its maps (P, h, w), labels and parts (H, W)."""
    labels, class_of = labels.cpu(), table.class_index.cpu()
    centres = part_centres(labels, parts.cpu(), part_class)
    kept = torch.isin(class_of, torch.tensor(part_class)[centres[:, 0]])
    return Scene(seed, labels, centres, maps.cpu()[kept], class_of[kept])


def hits_of_others(
    scenes: Sequence[Scene],
    table: PrototypeTable,
    part_class: Sequence[int],
    partners: int = PARTNERS,
) -> Tensor:
    """Return the hits (B, R, P, K) of other images' maps, see :func:`chance_hits`."""
    class_of = table.class_index.cpu()
    showing = {
        c: [i for i, scene in enumerate(scenes) if bool((scene.class_of == c).any())]
        for c in table.classes.tolist()
    }
    hits = torch.full((len(scenes), partners, len(table), len(part_class)), torch.nan)
    for image, scene in enumerate(scenes):
        generator = torch.Generator().manual_seed(scene.seed)
        for class_index in scene.class_of.unique().tolist():
            others = [i for i in showing[class_index] if i != image]
            drawn = torch.randperm(len(others), generator=generator)[:partners].tolist()
            by_others = _by_others(
                [scenes[others[i]] for i in drawn], scene, class_index, part_class
            )
            for column, found in enumerate(by_others):
                hits[image, column :: len(drawn), class_of == class_index] = found
    return hits


def _by_others(
    others: Sequence[Scene], scene: Scene, class_index: int, part_class: Sequence[int]
) -> list[Tensor]:
    """Return the hits (M, K) of each other image's maps of a class in an image."""
    centres = scene.centres[torch.tensor(part_class)[scene.centres[:, 0]] == class_index]
    image = scene.labels, centres, part_class, scene.seed
    maps = [other.maps[other.class_of == class_index] for other in others]
    # Maps of one size are ranked at once.
    hits = {
        size: hits_in(same, torch.full((len(same),), class_index), *image)
        for size in {own.shape for own in maps}
        for same in [torch.cat([own for own in maps if own.shape == size])]
    }
    remaining = {size: iter(found.split(size[0])) for size, found in hits.items()}
    return [next(remaining[own.shape]) for own in maps]
