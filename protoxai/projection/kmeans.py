"""Initial prototypes by k-means over the embeddings of their class."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoxai.labels import labels_at
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.batches import check_iterable, labelled_images
from protoxai.runtime.checks import NOT_NEGATIVE, instance, number, positive, whole
from protoxai.runtime.finite import check_each, check_finite_weights, check_images
from protoxai.runtime.modes import evaluating
from protoxai.runtime.wrappers import unwrapped

MOST_PIXELS = 5000
"""Largest number of pixels that are clustered for a class and scale."""


@torch.no_grad()
def initialise_prototypes(
    model: ScaleProtoSeg,
    loader: Iterable[Mapping[str, Any]],
    *,
    images: int = 32,
    noise: float = 0.01,
    seed: int = 0,
) -> None:
    """Set every prototype to a k-means centre of its class's embeddings at its scale.

    A little noise separates prototypes whose embeddings coincide, where the diversity loss has no
    gradient. Prototypes of classes that do not occur keep their values. What an earlier projection
    has kept (provenance, pictures, distances) is dropped.

    Args:
        model: Model in stage 1, changed in place.
        loader: Batches of training images, with "image" and "labels".
        images: Number of images to use.
        noise: Standard deviation of the noise.
        seed: Seed of the clustering and the noise.

    Raises:
        TypeError: If the model has no prototypes, or a batch is of another kind.
        ValueError: If a batch or a number does not fit, or there is no batch.
        NotFiniteError: If a weight, an image or an embedding is NaN or infinite.
    """
    model = instance("model", unwrapped(model), ScaleProtoSeg)
    images, noise = positive("images", images), number("noise", noise, NOT_NEGATIVE)
    seed = whole("seed", seed, NOT_NEGATIVE)
    check_finite_weights(model)
    embedding, labels = _pixels(model, loader, images)
    generator = np.random.default_rng(seed)
    prototypes = model.prototype_layer.prototypes
    members = model.table.to("cpu").members("class_and_scale")
    rows = zip(members.indices.tolist(), members.mask.tolist(), strict=True)
    for row, (indices, mask) in enumerate(rows):
        own = list(itertools.compress(indices, mask))
        class_index, scale = divmod(row, model.table.num_scales)
        vectors = embedding[labels == class_index, scale].numpy()
        if own and len(vectors):
            centres = _centres(vectors, len(own), generator)
            centres = centres + generator.normal(0, noise, centres.shape)
            prototypes[own] = torch.from_numpy(centres.clip(0, 1)).to(prototypes)
    model.projection = None


def _pixels(
    model: ScaleProtoSeg, loader: Iterable[Mapping[str, Any]], images: int
) -> tuple[Tensor, Tensor]:
    """Return the embeddings (pixels, S, D) and labels (pixels,) of some images."""
    embeddings, labels, count = [], [], 0
    device = model.prototype_layer.prototypes.device
    with evaluating(model):
        for batch in check_iterable("loader", loader):
            pictures, own = labelled_images("loader", batch)
            check_images(pictures, batch.get("id"))
            embedding = model.embed(pictures.to(device)).cpu()
            check_each(embedding, "the embedding of {image} is NaN or infinite", batch.get("id"))
            embeddings.append(embedding.permute(0, 3, 4, 1, 2).flatten(0, 2))
            size = (embedding.shape[3], embedding.shape[4])
            labels.append(labels_at(own, size).flatten())
            count += len(embedding)
            if count >= images:
                break
    if not embeddings:
        raise ValueError("loader: got no batch, expected labelled training images")
    return torch.cat(embeddings), torch.cat(labels)


def _centres(
    vectors: NDArray[np.float32], count: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    from scipy.cluster.vq import kmeans2

    chosen = vectors[generator.permutation(len(vectors))[:MOST_PIXELS]].astype(np.float64)
    distinct = np.unique(chosen, axis=0)
    if len(distinct) <= count:
        return np.asarray(distinct[np.arange(count) % len(distinct)])
    with warnings.catch_warnings():
        # An empty cluster keeps its starting point, which is a valid prototype too.
        warnings.simplefilter("ignore", UserWarning)
        centres, _ = kmeans2(chosen, count, minit="++", rng=generator, missing="warn")
    return np.asarray(centres)
