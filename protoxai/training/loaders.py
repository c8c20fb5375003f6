"""From a recipe to loaders: training crops, whole images, class weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from protoxai.data import (
    SegmentationDataset,
    class_frequencies,
    collate,
    create_dataset,
    evaluation_transform,
    training_transform,
)
from protoxai.segmenter import Segmenter
from protoxai.training.recipe import DataRecipe

Loader = DataLoader[Mapping[str, Any]]
RAREST = 1e-4


@dataclass(frozen=True)
class Splits:
    """The data of a run, raw: transforms come with the loaders.

    Attributes:
        train: training images.
        validation: validation images.
    """

    train: SegmentationDataset
    validation: SegmentationDataset

    @classmethod
    def of(cls, recipe: DataRecipe) -> Splits:
        """Open the data set of a recipe."""
        options = dict(recipe.options)
        if recipe.root is not None:
            options["root"] = recipe.root
        train, validation = (
            create_dataset(recipe.dataset, split=split, **options) for split in ("train", "val")
        )
        return cls(train, validation)


def training_view(data: SegmentationDataset, recipe: DataRecipe, model: Segmenter) -> Any:
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


def endless_loader(data: Dataset[Any], batches: int, batch_size: int, recipe: DataRecipe) -> Loader:
    """Return shuffled batches, as many as asked for, going over the data again and again."""
    sampler = RandomSampler(
        data,  # type: ignore[arg-type]
        num_samples=batches * batch_size,
        generator=torch.Generator().manual_seed(int(torch.randint(2**31, ()))),
    )
    return DataLoader(
        data,
        batch_size,
        sampler=sampler,
        num_workers=recipe.workers,
        collate_fn=collate if isinstance(data, SegmentationDataset) else None,
        persistent_workers=recipe.workers > 0,
    )


def whole_images(data: SegmentationDataset, recipe: DataRecipe, model: Segmenter) -> Loader:
    """Return every image once, whole, at the evaluation size."""
    view = data.with_transform(
        evaluation_transform(recipe.evaluation_size, mean=model.mean, std=model.std)
    )
    return DataLoader(
        view, recipe.evaluation_batch_size, num_workers=recipe.workers, collate_fn=collate
    )


def class_weights(data: SegmentationDataset, recipe: DataRecipe) -> Tensor | None:
    """Return ``frequency ** -class_balance`` of each class, with mean 1; None if all are equal."""
    if recipe.class_balance == 0:
        return None
    weights = class_frequencies(data, limit=500).clamp_min(RAREST) ** -recipe.class_balance
    return weights / weights.mean()
