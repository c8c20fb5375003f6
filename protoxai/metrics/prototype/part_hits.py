"""Parts of an object that a prototype is active on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from protoxai.labels import labels_at
from protoxai.metrics.base.checks import seeds_of
from protoxai.prototypes.table import PrototypeTable, check_table
from protoxai.runtime.checks import Range, wholes_of
from protoxai.runtime.components import connected_components
from protoxai.runtime.tensors import tensor

ONE_IN = 5
"""A prototype is active on one in so many pixels of its class, rounded up: on 20 % of them."""


@torch.no_grad()
def part_hits(
    activations: Tensor,
    labels: Tensor,
    parts: Tensor,
    table: PrototypeTable,
    part_class: Sequence[int],
    *,
    seeds: Sequence[int] | None = None,
) -> Tensor:
    """Return the parts of its own class that each prototype hits in each image.

    A prototype is active on exactly 20 % of the class's pixels (rounded up): those where its
    activation, resized to the labels (nearest), is highest. A random order of the image's pixels
    decides among equal activations. A part is hit if the prototype is active at the centroid of one
    of its components (8-connected, within the class). Source: Huang et al., "Evaluation and
    improvement of interpretability for self-explainable part-prototype networks", ICCV 2023,
    section 3, as adapted to segmentation by Porta et al., WACV 2025.

    Args:
        activations: Activations of all prototypes (B, P, h, w).
        labels: Labels (B, H, W).
        parts: Part number of every pixel (B, H, W), 0 for none.
        table: Class and scale of each prototype.
        part_class: Class of each of the K part numbers; that of number 0 does not matter.
        seeds: Seed of each image's order among equal activations; by default its place in the
            batch.

    Returns:
        Float (B, P, K): 1 where hit, 0 where missed, NaN where the image does not show the part or
        the part is not of the prototype's class.

    Raises:
        ValueError: If shapes do not fit, or a part number has no class.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> activations = torch.tensor([[[[0.0, 0.0, 0.0, 0.0, 9.0]]]])
        >>> labels, parts = torch.zeros(1, 1, 5).long(), torch.tensor([[[1, 1, 0, 0, 2]]])
        >>> table = PrototypeTable([0], [0], num_classes=1, num_scales=1)
        >>> part_hits(activations, labels, parts, table, part_class=(0, 0, 0))
        tensor([[[nan, 0., 1.]]])
    """
    part_class = check_scenes(activations, labels, parts, table, part_class)
    seeds = seeds_of(seeds, len(activations))
    class_of = table.class_index.cpu()
    hits = [
        hits_in(maps, class_of, own, part_centres(own, own_parts, part_class), part_class, seed)
        for maps, own, own_parts, seed in zip(
            activations.cpu(), labels.cpu(), parts.cpu(), seeds, strict=True
        )
    ]
    return torch.stack(hits) if hits else torch.zeros(0, len(table), len(part_class))


def hits_in(
    maps: Tensor,
    class_of: Tensor,
    labels: Tensor,
    centres: Tensor,
    part_class: Sequence[int],
    seed: int,
) -> Tensor:
    """Return the hits (M, K) of maps in one image; all tensors are on the CPU.

    Args:
        maps: Activations of prototypes (M, h, w), of this image or, for the hits by chance, of
            another one.
        class_of: Class of each prototype (M,).
        labels: Labels (H, W).
        centres: Centroids of the parts, from :func:`part_centres`.
        part_class: Class of each part number.
        seed: Seed of the order among equal activations.
    """
    hits = torch.full((len(maps), len(part_class)), torch.nan)
    _, height, width = maps.shape
    cells = labels_at(
        torch.arange(height * width).view(height, width), (labels.shape[0], labels.shape[1])
    ).flatten()
    order = torch.randperm(labels.numel(), generator=torch.Generator().manual_seed(seed))
    numbers = centres[:, 0].unique().tolist()
    for class_index in sorted({part_class[part] for part in numbers}):
        own, pixels = class_of == class_index, labels.flatten() == class_index
        values = maps[own].flatten(1)
        for part in numbers:
            if part_class[part] == class_index:
                places = centres[centres[:, 0] == part, 1]
                active = _active_at(values, cells, pixels, order, places)
                hits[own, part] = active.any(1).to(hits)
    return hits


def _active_at(
    values: Tensor, cells: Tensor, pixels: Tensor, order: Tensor, places: Tensor
) -> Tensor:
    """Return whether a place is among the highest 20 % of the pixels, bool (M, places).

    Args:
        values: Activations (M, h * w).
        cells: Place of each pixel of the image on the grid of the activations (H * W,).
        pixels: Pixels that are compared, bool (H * W,).
        order: Rank of each pixel among equal activations (H * W,).
        places: Pixels that are asked for (C,).
    """
    compared = values[:, cells[pixels]][:, None]
    own = values[:, cells[places]][:, :, None]
    earlier = order[pixels] < order[places, None]
    # Negated, so that a place without a value (NaN) is never active.
    before = ~(compared < own) & ~((compared == own) & ~earlier)
    most = -(-int(pixels.sum()) // ONE_IN)
    return (before.sum(2) < most) & pixels[places]


def part_centres(labels: Tensor, parts: Tensor, part_class: Sequence[int]) -> Tensor:
    """Return the centroids of an image's parts within their class.

    Args:
        labels: Labels (H, W).
        parts: Part number of every pixel (H, W).
        part_class: Class of each part number.

    Returns:
        Int64 (C, 2) with a row for each component of a part: its number, and the place of the
        pixel nearest to its centroid, counted along the rows.
    """
    found = []
    for part in parts.unique().tolist():
        if part:
            rows, cols = centroids((parts == part) & (labels == part_class[part]))
            found += [(part, r * labels.shape[1] + c) for r, c in zip(rows, cols, strict=True)]
    return torch.tensor(found, dtype=torch.long).reshape(-1, 2)


def centroids(mask: Tensor) -> tuple[list[int], list[int]]:
    """Return rows and columns of the pixels nearest to the centroids of a mask's components."""
    from scipy import ndimage

    components, number = connected_components(mask.cpu().numpy())
    centres = ndimage.center_of_mass(components > 0, components, range(1, number + 1))
    return [math.floor(r + 0.5) for r, _ in centres], [math.floor(c + 0.5) for _, c in centres]


def check_scenes(
    activations: Tensor,
    labels: Tensor,
    parts: Tensor,
    table: PrototypeTable,
    part_class: Sequence[int],
) -> tuple[int, ...]:
    """Return the class of each part number, or raise an error if anything does not fit.

    Args:
        activations: Activations of all prototypes (B, P, h, w).
        labels: Labels (B, H, W).
        parts: Part number of every pixel (B, H, W).
        table: Class and scale of each prototype.
        part_class: Class of each part number.
    """
    part_class = check_part_class(part_class, check_table(table))
    dims, sizes = "batch prototypes height width", {"prototypes": len(table)}
    tensor("activations", activations, dims, sizes=sizes)
    dims, hint = "batch height width", "one map for each image of the activations"
    sizes = {"batch": len(activations)}
    tensor("labels", labels, dims, "integers", hint=hint, sizes=sizes)
    tensor("parts", parts, dims, "integers")
    if parts.shape != labels.shape:
        raise ValueError(
            f"parts have shape {tuple(parts.shape)} and labels {tuple(labels.shape)}, expected the "
            "same (batch, height, width)"
        )
    if parts.numel() and not 0 <= int(parts.min()) <= int(parts.max()) < len(part_class):
        raise ValueError(
            f"parts hold numbers from {int(parts.min())} to {int(parts.max())}, expected 0 to "
            f"{len(part_class) - 1}: part_class names the class of every part number"
        )
    return part_class


def check_part_class(part_class: Sequence[int], table: PrototypeTable) -> tuple[int, ...]:
    """Return the class of each part number, or raise an error if one is not of the table."""
    classes = Range(least=0, most=table.num_classes - 1)
    return wholes_of("part_class", part_class, expected=classes)


def check_hits(
    name: str,
    hits: Tensor,
    dims: str = "images prototypes parts",
    sizes: Mapping[str, int] | None = None,
) -> None:
    """Raise an error unless hits have these dimensions and hold 0, 1 and NaN alone."""
    tensor(name, hits, dims, hint="from part_hits or chance_hits", sizes=sizes)
    if not bool(((hits == 0) | (hits == 1) | hits.isnan()).all()):
        raise ValueError(f"{name} hold other values than 0, 1 and NaN: compute them by part_hits")
