"""Projection: every prototype becomes the nearest training patch of its class."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from protoxai.labels import check_labels, check_not_turned, labels_at
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.projection.active_region import ActiveRegions, patch_box
from protoxai.projection.search import ProjectionRecord, PrototypeSearch
from protoxai.prototypes.provenance import Provenance
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.batches import check_iterable, check_labelled, names_of
from protoxai.runtime.checks import NOT_NEGATIVE, instance, wholes_of
from protoxai.runtime.distributed import gather, world_size
from protoxai.runtime.finite import check_finite_weights, check_images
from protoxai.runtime.modes import evaluating
from protoxai.runtime.wrappers import unwrapped


def project_prototypes(
    model: ScaleProtoSeg,
    batches: Iterable[Mapping[str, Any] | Sequence[Any]],
    *,
    ignore_index: int = 255,
) -> ProjectionRecord:
    """Replace every prototype by the nearest patch of its class, and drop duplicates.

    The layer, the table and the head shrink together; the provenance is stored in the model.

    Args:
        model: Model in stage 1.
        batches: Batches of all training images, neither padded nor cropped: mappings with "image"
            (B, 3, H, W), "labels" (B, H', W') and, if known, "index" (data set indices) and "id"
            (names); or tuples (images, labels) or (images, labels, indices). Images without an
            index are numbered in order. Boxes are in pixels of the labels.
        ignore_index: Label of pixels that do not count.

    Returns:
        The record of all prototypes, including the duplicates.

    Raises:
        ValueError: If the model is in stage 2, or a batch does not fit.
        NotFiniteError: If a weight, an image or an embedding is NaN or infinite.

    Warns:
        UserWarning: If a class never occurs; its prototypes keep their vectors.

    Example:
        >>> import torch
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> batch = (torch.rand(2, 3, 32, 40), torch.randint(0, 2, (2, 32, 40)))
        >>> record = project_prototypes(model, [batch])
        >>> len(record.kept) == len(model.table) == len(model.provenance)
        True
    """
    model = instance("model", unwrapped(model), ScaleProtoSeg)
    check_iterable("batches", batches)
    if model.grouped:
        raise ValueError(
            "projection is for stage 1, but the model is in stage 2: project before model.group()"
        )
    check_finite_weights(model)
    prototypes = model.prototype_layer.prototypes
    search = PrototypeSearch(model.table, prototypes, ignore_index=ignore_index)
    regions = ActiveRegions(model.table, prototypes, model.prototype_layer.activation)
    count = 0
    with evaluating(model), torch.no_grad():
        for batch in batches:
            images, labels, indices, names = _unpack(batch, count)
            count += len(images)
            check_labels(labels, model.num_classes, ignore_index, name="batches: labels")
            check_images(images, names)
            embedding = model.embed(images.to(prototypes.device))
            on_grid = labels_at(labels, (embedding.shape[3], embedding.shape[4]))
            updated = search.update(embedding, on_grid, indices)
            regions.record(updated, search.place[updated], embedding, labels, indices, names)
    if sum(gather(count)) == 0:
        raise ValueError(
            "batches: there was no batch to project on: pass a loader over training images"
        )
    record = search.compute()
    regions.merge_ranks(record.image_index)
    provenance = _provenance(record, regions)
    with torch.no_grad():
        prototypes.copy_(record.vector)
    model.keep_prototypes(record.kept)
    model.provenance = provenance
    _warn_of_absent_classes(model, record, search.table)
    return replace(record, provenance=provenance)


def _unpack(
    batch: Mapping[str, Any] | Sequence[Any], count: int
) -> tuple[Tensor, Tensor, list[int], list[str]]:
    if isinstance(batch, Mapping):
        missing = [f'"{name}"' for name in ("image", "labels") if name not in batch]
        if missing:
            raise ValueError(
                f"batches: a batch has {sorted(batch)} but no {' and no '.join(missing)}: expected "
                'a mapping with "image", "labels", "index" and "id"'
            )
        images, labels = batch["image"], batch["labels"]
        indices, names = batch.get("index"), batch.get("id")
    elif isinstance(batch, Tensor | str) or not isinstance(batch, Sequence):
        raise TypeError(
            f"batches: a batch is a {type(batch).__name__}, expected (images, labels) or a "
            "mapping: projection needs labels"
        )
    elif 2 <= len(batch) <= 3:
        images, labels, indices, names = (*batch, None, None)[:4]
    else:
        raise ValueError(
            f"batches: a batch has {len(batch)} parts, expected (images, labels), (images, labels, "
            'indices) or a mapping with "image", "labels", "index" and "id"'
        )
    check_labelled("batches", images, labels)
    check_not_turned(labels.shape[1:], images.shape[2:])
    if isinstance(batch, Mapping):
        names = names_of("batches", batch, len(images))
    if indices is None and world_size() > 1:
        raise ValueError(
            "a batch has no data set indices, and several processes would number their images "
            'alike: pass (images, labels, indices) or "index"'
        )
    if indices is None:
        indices = range(count, count + len(images))
    numbers = list(wholes_of("batches: image_indices", indices, len(images) or None, NOT_NEGATIVE))
    return images, labels, numbers, [str(name) for name in (numbers if names is None else names)]


def _provenance(record: ProjectionRecord, regions: ActiveRegions) -> tuple[Provenance, ...]:
    entries = []
    for prototype in record.kept.tolist():
        source = regions.sources.get(prototype)
        if source is None:
            entries.append(Provenance(projected=False))
            continue
        row, col = int(record.row[prototype]), int(record.col[prototype])
        entries.append(
            Provenance(
                projected=True,
                image_index=int(record.image_index[prototype]),
                image_id=source.name,
                row=row,
                col=col,
                grid=source.grid,
                distance=float(record.distance[prototype]),
                patch=patch_box(row, col, source.grid, source.size),
                active_region=source.active_region(row, col),
            )
        )
    return tuple(entries)


def _warn_of_absent_classes(
    model: ScaleProtoSeg, record: ProjectionRecord, table: PrototypeTable
) -> None:
    absent = table.class_index[~record.projected].unique().tolist()
    if absent:
        names = [model.class_names[c] if model.class_names else str(c) for c in absent]
        warnings.warn(
            f"no pixel has class {', '.join(names)}: its prototypes were not projected and show no "
            "training patch",
            stacklevel=3,
        )
