"""From a recipe to loaders: training crops, whole images, class weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from protoxai.data import (
    SegmentationDataset,
    class_frequencies,
    collate,
    create_dataset,
    evaluation_transform,
    training_transform,
)
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.distributed import rank, world_size
from protoxai.training.feeding.seeded_sampling import DrawBatches, SeededDraws
from protoxai.training.recipes.recipe import DataRecipe

Loader = DataLoader[Mapping[str, Any]]
RAREST = 1e-4


@dataclass(frozen=True)
class Splits:
    """The data of a run, raw: transforms come with the loaders.

    Attributes:
        train: training images.
        projection: the images that prototypes are projected on.
        validation: validation images.
    """

    train: SegmentationDataset
    projection: SegmentationDataset
    validation: SegmentationDataset

    @classmethod
    def of(cls, recipe: DataRecipe) -> Splits:
        """Open the data set of a recipe."""
        options = dict(recipe.options)
        if recipe.root is not None:
            options["root"] = recipe.root
        train = create_dataset(recipe.dataset, split=recipe.train_split, **options)
        projection = train
        if recipe.projection_split not in (None, recipe.train_split):
            projection = create_dataset(recipe.dataset, split=recipe.projection_split, **options)
        validation = create_dataset(recipe.dataset, split=recipe.validation_split, **options)
        return cls(train, projection, validation)


def training_view(
    data: SegmentationDataset, recipe: DataRecipe, model: Segmenter
) -> SegmentationDataset:
    """Return the data set seen through the recipe's random zoom, crop, flip and jitter."""
    return data.with_transform(
        training_transform(
            recipe.crop,
            mean=model.mean,
            std=model.std,
            scale=recipe.zoom,
            relative_to=recipe.zoom_relative_to,
            log_uniform=recipe.log_uniform_zoom,
            flip=recipe.flip,
            color_jitter=recipe.color_jitter,
            ignore_index=data.ignore_index,
        )
    )


def drawn_batches(
    data: Any,
    batches: int,
    batch_size: int,
    *,
    seed: int,
    workers: int = 0,
    start: int = 0,
    shared: bool = False,
) -> Loader:
    """Return shuffled batches, as many as asked for, going over the data again and again.

    Args:
        data: the samples.
        batches: how many in all.
        batch_size: of this process.
        seed: Seed of the order and of the transforms; see :class:`SeededDraws`.
        workers: processes that load.
        start: first batch; those before were trained on already.
        shared: every process sees all batches, instead of its share.
    """
    return DataLoader(
        SeededDraws(data, seed),
        batch_sampler=DrawBatches(start, batches, batch_size, shared=shared),
        num_workers=workers,
        collate_fn=collate if isinstance(data, SegmentationDataset) else None,
        persistent_workers=workers > 0,
    )


def whole_images(data: SegmentationDataset, recipe: DataRecipe, model: Segmenter) -> Loader:
    """Return this process's share of the images, each once, whole, at the evaluation size."""
    return DataLoader(
        evaluation_view(data, recipe, model),
        recipe.evaluation_batch_size,
        sampler=range(rank(), len(data), world_size()),
        num_workers=recipe.workers,
        collate_fn=collate,
    )


def evaluation_view(
    data: SegmentationDataset, recipe: DataRecipe, model: Segmenter
) -> SegmentationDataset:
    """Return the data set seen at the recipe's evaluation size."""
    transform = evaluation_transform(recipe.evaluation_size, mean=model.mean, std=model.std)
    return data.with_transform(transform)


def class_weights(data: SegmentationDataset, recipe: DataRecipe) -> Tensor | None:
    """Return ``frequency ** -class_balance`` of each class, with mean 1; None if all are equal."""
    if recipe.class_balance == 0:
        return None
    weights = class_frequencies(data, limit=500).clamp_min(RAREST) ** -recipe.class_balance
    return weights / weights.mean()
