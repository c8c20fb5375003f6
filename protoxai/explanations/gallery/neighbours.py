"""The patches of a data set that are nearest to each prototype, and how pure they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoxai.metrics.prototype.best_patches import EMPTY, best_of
from protoxai.metrics.prototype.prototype_purity import PrototypePurity
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.projection.active_region import patch_box
from protoxai.projection.pictures import over_window
from protoxai.prototypes.patches import Patch
from protoxai.prototypes.provenance import Box
from protoxai.runtime.checks import shown
from protoxai.runtime.finite import check_images
from protoxai.runtime.modes import evaluating

COUNT = 10
"""Number of patches of each prototype."""


@dataclass(frozen=True)
class Neighbour:
    """A patch of the data that is near to a prototype.

    Attributes:
        image_index: Index of its image in the data set.
        image_id: Name of its image.
        likeness: Its activation as a share of the highest possible one, in [0, 1].
        patch: Picture of its surroundings, as large as the prototype's.
        cell: Box of the patch in the picture.
    """

    image_index: int
    image_id: str
    likeness: float
    patch: Patch
    cell: Box


class Purity(NamedTuple):
    """How many of a prototype's ten most active patches show the same thing.

    Attributes:
        share: Share of the patches that show the most frequent part or class.
        by_chance: Share that random patches would have.
        shows: The part or class.
    """

    share: float
    by_chance: float
    shows: str


class Neighbours(NamedTuple):
    """What a data set adds to a gallery.

    Attributes:
        patches: Nearest patches of each prototype in use, by its index, the nearest first, each of
            another image, none of the prototype's own.
        purity: Purity of each prototype that enough images show, by its index.
    """

    patches: dict[int, tuple[Neighbour, ...]]
    purity: dict[int, Purity]


@torch.no_grad()
def neighbours_of(model: ScaleProtoSeg, data: Any, in_use: Tensor) -> Neighbours:
    """Return the nearest patches of each prototype and, if the data have labels, its purity.

    Args:
        model: Model in either stage.
        data: Data set with ``len`` and ``[]``; see :func:`~protoxai.gallery`.
        in_use: Indices (n,) of the prototypes to search for.

    Raises:
        TypeError: If an item of the data is no mapping with an image.
        ValueError: If there is no item, or one does not fit the model.
    """
    part_class = tuple(getattr(data, "part_class", ())) or None
    best = torch.tensor(EMPTY, dtype=torch.float64).repeat(len(in_use), COUNT, 1)
    own = [_own_image(model, index) for index in in_use.tolist()]
    metric, grids = None, {}
    device = model.prototype_layer.prototypes.device
    with evaluating(model):
        for number, sample, name in samples_of(data):
            image = sample["image"][None].to(device)
            check_images(image, [name])
            activations = model(image).activations.cpu()
            grids[number] = (activations.shape[2], activations.shape[3])
            if "labels" in sample:
                metric = metric or _purity(model, data, part_class, in_use)
                parts = sample["parts"][None] if part_class and "parts" in sample else None
                metric.update(activations, sample["labels"][None], parts, number)
            elsewhere = torch.tensor([name != image_id for image_id in own])
            found = _best_here(activations[0, in_use], number, elsewhere)
            best = best_of(torch.cat([best, found], 1), COUNT)
    highest = float(model.prototype_layer.activation(torch.zeros(1)))
    patches = _pictures(model, data, in_use.tolist(), best, grids, highest)
    return Neighbours(patches, _purities(metric, data, part_class, in_use))


def samples_of(data: Any) -> Iterator[tuple[int, Mapping[str, Any], str]]:
    """Yield index, sample and name of each item of a data set, after a check."""
    for index in range(len(data)):
        item = data[index]
        if not isinstance(item, Mapping) or not isinstance(item.get("image"), Tensor):
            raise TypeError(
                f'data: item {index} is {shown(item)}, expected a mapping with "image" and perhaps '
                '"labels" and "id"'
            )
        if item["image"].dim() != 3 or item["image"].shape[0] != 3:
            size = tuple(item["image"].shape)
            raise ValueError(f"data: image {index} has shape {size}, expected (3, H, W)")
        yield index, item, str(item.get("id", index))


def _own_image(model: ScaleProtoSeg, index: int) -> str | None:
    entry = model.provenance[index] if model.provenance else None
    return None if entry is None else entry.image_id


def _best_here(maps: Tensor, number: int, elsewhere: Tensor) -> Tensor:
    """Return activation, image and position of each prototype's best patch in an image."""
    values, place = maps.double().flatten(1).max(1)
    found = torch.stack([values, torch.full_like(values, number), place.double()], 1)
    return torch.where(elsewhere[:, None], found, found.new_tensor(EMPTY))[:, None]


def _pictures(
    model: ScaleProtoSeg,
    data: Any,
    prototypes: list[int],
    best: Tensor,
    grids: Mapping[int, tuple[int, int]],
    highest: float,
) -> dict[int, tuple[Neighbour, ...]]:
    """Return the neighbours with their pictures, each image being read once."""
    chosen: dict[int, list[tuple[int, int, float, int]]] = {}
    for row, prototype in enumerate(prototypes):
        for rank, (value, image, place) in enumerate(best[row].tolist()):
            if image >= 0:
                chosen.setdefault(int(image), []).append((prototype, rank, value, int(place)))
    found: dict[int, dict[int, Neighbour]] = {prototype: {} for prototype in prototypes}
    for number, entries in sorted(chosen.items()):
        sample = data[number]
        pixels = _original(model, data, sample, number)
        for prototype, rank, value, place in entries:
            share = min(value / highest, 1.0)
            patch, cell = _cut(model, prototype, pixels, place, grids[number], share)
            name = str(sample.get("id", number))
            found[prototype][rank] = Neighbour(number, name, share, patch, cell)
    return {p: tuple(own[rank] for rank in sorted(own)) for p, own in found.items()}


def _original(
    model: ScaleProtoSeg, data: Any, sample: Mapping[str, Any], index: int
) -> NDArray[np.uint8]:
    """Return an image at its own size if the data set has it, otherwise as the model sees it."""
    raw = getattr(data, "raw", None)
    image: Tensor | None = None if raw is None else raw(index).image
    if image is None or image.dtype != torch.uint8:
        mean, std = (torch.tensor(v)[:, None, None] for v in (model.mean, model.std))
        colours = (sample["image"].cpu().float() * std + mean).clamp(0, 1)
        image = (colours * 255).round().to(torch.uint8)
    pixels: NDArray[np.uint8] = image.cpu().numpy()
    return pixels


def _cut(
    model: ScaleProtoSeg,
    prototype: int,
    pixels: NDArray[np.uint8],
    place: int,
    grid: tuple[int, int],
    share: float,
) -> tuple[Patch, Box]:
    """Return the picture around a cell, as large as the prototype's, and the cell in it."""
    size = (pixels.shape[1], pixels.shape[2])
    row, col = divmod(place, grid[1])
    cell = patch_box(row, col, grid, size)
    entry = model.provenance[prototype] if model.provenance else None
    region = (entry.active_region if entry else None) or cell
    window = tuple(
        min(max((begin + end - 3 * (high - low)) // 2, 0), begin)
        for begin, end, low, high in zip(cell[:2], cell[2:], region[:2], region[2:], strict=True)
    ) + tuple(
        max(min((begin + end + 3 * (high - low)) // 2, most), end)
        for begin, end, low, high, most in zip(
            cell[:2], cell[2:], region[:2], region[2:], size, strict=True
        )
    )
    top, left, bottom, right = window
    cells = np.zeros(grid, dtype=np.uint8)
    cells[row, col] = round(255 * share)
    box = (top, left, bottom, right)
    patch = Patch.cut(pixels, box, over_window(cells, box, size))
    return patch, patch.within(cell)


def _purity(
    model: ScaleProtoSeg, data: Any, part_class: tuple[int, ...] | None, in_use: Tensor
) -> PrototypePurity:
    ignore_index = getattr(data, "ignore_index", 255)
    return PrototypePurity(model.table, part_class, in_use, ignore_index=ignore_index)


def _purities(
    metric: PrototypePurity | None, data: Any, part_class: object, in_use: Tensor
) -> dict[int, Purity]:
    if metric is None:
        return {}
    found = metric.per_prototype()
    names = getattr(data, "part_names" if part_class else "class_names", None) or ()
    rows = zip(
        in_use.tolist(),
        found.purity.tolist(),
        (found.frequency + found.chance).tolist(),
        found.shown.tolist(),
        strict=True,
    )
    return {
        prototype: Purity(share, chance, names[what] if 0 <= what < len(names) else str(what))
        for prototype, share, chance, what in rows
        if share == share  # NaN: not seen
    }
