"""Projection: every prototype becomes the nearest training patch of its class."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.projection.active_region import ActiveRegion, ActiveRegions, patch_box
from protoxai.projection.batches import embedded, stage_1_model
from protoxai.projection.class_samples import ClassSamples
from protoxai.projection.pictures import ImageOf, Pictures
from protoxai.projection.search import ProjectionRecord, PrototypeSearch
from protoxai.prototypes.projection import Projection
from protoxai.prototypes.provenance import Provenance
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.checks import flag, function
from protoxai.runtime.modes import evaluating


def project_prototypes(
    model: ScaleProtoSeg,
    batches: Iterable[Mapping[str, Any] | Sequence[Any]],
    *,
    ignore_index: int = 255,
    image_of: ImageOf | None = None,
    patches: bool = True,
) -> ProjectionRecord:
    """Replace every prototype by the nearest patch of its class, and drop duplicates.

    The layer, the table and the head shrink together. The model keeps the provenance, a picture of
    each prototype's surroundings (see :class:`~protoxai.prototypes.Patch`), and the distances from
    a sample of training pixels to the prototypes of their class
    (:attr:`~protoxai.ScaleProtoSeg.class_distances`).

    Args:
        model: Model in stage 1.
        batches: Batches of all training images, neither padded nor cropped: mappings with "image"
            (B, 3, H, W), "labels" (B, H', W') and, if known, "index" (data set indices) and "id"
            (names); or tuples (images, labels) or (images, labels, indices). Images without an
            index are numbered in order. Boxes are in pixels of the labels.
        ignore_index: Label of pixels that do not count.
        image_of: Function from the data set index of an image to the original image, uint8
            (3, H, W), of the size of its labels (``lambda index: dataset.raw(index).image``);
            None: pictures are cut out of the images of the batches.
        patches: Whether the model keeps pictures; False for private images.

    Returns:
        The record of all prototypes, including the duplicates.

    Raises:
        TypeError: If an argument or an original image is of another type.
        ValueError: If the model is in stage 2, or a batch or an original image does not fit.
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
    model = stage_1_model(model, "project")
    prototypes = model.prototype_layer.prototypes
    search = PrototypeSearch(model.table, prototypes, ignore_index=ignore_index)
    regions = ActiveRegions(model.table, prototypes, model.prototype_layer.activation)
    if image_of is not None:
        function("image_of", image_of)
    pictures = Pictures(model, image_of) if flag("patches", patches) else None
    samples = ClassSamples(model.table)
    with evaluating(model), torch.no_grad():
        for batch in embedded(model, batches, ignore_index):
            updated = search.update(batch.embedding, batch.on_grid, batch.indices)
            places = search.place[updated]
            regions.record(updated, places, batch)
            if pictures is not None:
                pictures.record(updated, places, search.vector[updated], batch)
            samples.update(batch)
    record = search.compute()
    found = regions.compute(record.kept, search.place)
    provenance = _provenance(record, found)
    kept_patches = None
    if pictures is not None:
        kept_patches = pictures.compute(record.kept, search.place, found)
    class_distances = samples.compute(record.vector)
    with torch.no_grad():
        prototypes.copy_(record.vector)
    model.keep_prototypes(record.kept)
    model.projection = Projection.of(
        model.prototype_layer.prototypes,
        provenance,
        kept_patches,
        class_distances[record.kept.cpu()],
    )
    _warn_of_absent_classes(model, record, search.table)
    return replace(record, provenance=provenance)


def _provenance(
    record: ProjectionRecord, regions: Mapping[int, ActiveRegion]
) -> tuple[Provenance, ...]:
    entries = []
    for prototype in record.kept.tolist():
        region = regions.get(prototype)
        if region is None:
            entries.append(Provenance(projected=False))
            continue
        row, col = int(record.row[prototype]), int(record.col[prototype])
        entries.append(
            Provenance(
                projected=True,
                image_index=int(record.image_index[prototype]),
                image_id=region.name,
                row=row,
                col=col,
                grid=region.grid,
                distance=float(record.distance[prototype]),
                patch=patch_box(row, col, region.grid, region.size),
                active_region=region.box,
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
