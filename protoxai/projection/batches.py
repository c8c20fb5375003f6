"""Embeddings of the images that prototypes are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from protoxai.labels import check_labels, check_not_turned, labels_at
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.batches import check_iterable, check_labelled, names_of
from protoxai.runtime.checks import NOT_NEGATIVE, instance, wholes_of
from protoxai.runtime.distributed import gather, world_size
from protoxai.runtime.finite import check_finite_weights, check_images
from protoxai.runtime.wrappers import unwrapped

Batches = Iterable[Mapping[str, Any] | Sequence[Any]]


class EmbeddedBatch(NamedTuple):
    """A batch of labelled images with its embedding.

    Attributes:
        embedding: Embedding (B, S, D, h, w).
        labels: Labels (B, H, W), as given.
        on_grid: Labels on the embedding's grid, (B, h, w).
        indices: Data set index of each image.
        names: Name of each image.
        images: Images (B, 3, H', W'), as given.
    """

    embedding: Tensor
    labels: Tensor
    on_grid: Tensor
    indices: list[int]
    names: list[str]
    images: Tensor


def stage_1_model(model: ScaleProtoSeg, action: str) -> ScaleProtoSeg:
    """Return the model without wrappers, after checking that its prototypes may be replaced.

    Args:
        model: Model in stage 1, perhaps wrapped.
        action: What is to be done with the prototypes, for the error: "project" or "prune".

    Raises:
        TypeError: If it has no prototypes.
        ValueError: If it is in stage 2.
        NotFiniteError: If a weight is NaN or infinite.
    """
    model = instance("model", unwrapped(model), ScaleProtoSeg)
    if model.grouped:
        raise ValueError(
            f"the model is in stage 2: {action} before model.group(), whose groups depend on the "
            "prototypes"
        )
    check_finite_weights(model)
    return model


def embedded(
    model: ScaleProtoSeg, batches: Batches, ignore_index: int, name: str = "batches"
) -> Iterator[EmbeddedBatch]:
    """Embed batches of images one by one, in the modes that the caller has set.

    Args:
        model: Model in either stage.
        batches: Batches as :func:`project_prototypes` takes them.
        ignore_index: Label of pixels that do not count.
        name: Name of the argument with the batches, for errors.

    Raises:
        TypeError: If a batch is of another kind.
        ValueError: If a batch does not fit, or no process has any.
        NotFiniteError: If an image is NaN or infinite.
    """
    device = model.prototype_layer.prototypes.device
    count = 0
    for batch in check_iterable(name, batches):
        images, labels, indices, names = _unpack(name, batch, count)
        count += len(images)
        check_labels(labels, model.num_classes, ignore_index, name=f"{name}: labels")
        check_images(images, names)
        embedding = model.embed(images.to(device))
        on_grid = labels_at(labels, (embedding.shape[3], embedding.shape[4]))
        yield EmbeddedBatch(embedding, labels, on_grid, indices, names, images)
    if sum(gather(count)) == 0:
        raise ValueError(f"{name}: there was no batch: pass a loader over training images")


def _unpack(
    name: str, batch: Mapping[str, Any] | Sequence[Any], count: int
) -> tuple[Tensor, Tensor, list[int], list[str]]:
    if isinstance(batch, Mapping):
        missing = [f'"{key}"' for key in ("image", "labels") if key not in batch]
        if missing:
            raise ValueError(
                f"{name}: a batch has {sorted(batch)} but no {' and no '.join(missing)}: expected "
                'a mapping with "image", "labels", "index" and "id"'
            )
        images, labels = batch["image"], batch["labels"]
        indices, names = batch.get("index"), batch.get("id")
    elif isinstance(batch, Tensor | str) or not isinstance(batch, Sequence):
        raise TypeError(
            f"{name}: a batch is a {type(batch).__name__}, expected (images, labels) or a "
            "mapping: labels are needed"
        )
    elif 2 <= len(batch) <= 3:
        images, labels, indices, names = (*batch, None, None)[:4]
    else:
        raise ValueError(
            f"{name}: a batch has {len(batch)} parts, expected (images, labels), (images, labels, "
            'indices) or a mapping with "image", "labels", "index" and "id"'
        )
    check_labelled(name, images, labels)
    check_not_turned(labels.shape[1:], images.shape[2:])
    if isinstance(batch, Mapping):
        names = names_of(name, batch, len(images))
    if indices is None and world_size() > 1:
        raise ValueError(
            "a batch has no data set indices, and several processes would number their images "
            'alike: pass (images, labels, indices) or "index"'
        )
    if indices is None:
        indices = range(count, count + len(images))
    numbers = list(wholes_of(f"{name}: image_indices", indices, len(images) or None, NOT_NEGATIVE))
    return images, labels, numbers, [str(each) for each in (numbers if names is None else names)]
