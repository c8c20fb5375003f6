"""The loaders of a recipe: training crops, full images, class weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from protoxai.backbones.base import IMAGENET_MEAN, IMAGENET_STD
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
from protoxai.training.feeding.seeded_sampling import SeededBatches, SeededSamples
from protoxai.training.recipes.data_recipe import DataRecipe

Loader = DataLoader[Mapping[str, Any]]
RAREST = 1e-4
"""Frequency below which a class gets no larger weight."""


@dataclass(frozen=True)
class Splits:
    """Data of a run, without transforms, which the loaders add.

    Attributes:
        train: Training images.
        projection: Images that prototypes are projected on.
        validation: Validation images.
    """

    train: SegmentationDataset
    projection: SegmentationDataset
    validation: SegmentationDataset

    @classmethod
    def of(cls, recipe: DataRecipe) -> Splits:
        """Open the data set of a recipe.

        Args:
            recipe: The data section of the recipe.

        Raises:
            ValueError: If there is no such data set, or its files are missing.
            TypeError: If an option of the data set is unknown.
        """
        options = dict(recipe.options)
        if recipe.root is not None:
            options["root"] = recipe.root
        train = create_dataset(recipe.dataset, split=recipe.train_split, **options)
        projection = train
        if recipe.projection_split not in (None, recipe.train_split):
            projection = create_dataset(recipe.dataset, split=recipe.projection_split, **options)
        validation = create_dataset(recipe.dataset, split=recipe.validation_split, **options)
        return cls(train, projection, validation)

    def by_name(self, recipe: DataRecipe) -> dict[str, SegmentationDataset]:
        """Return each split once, by its name in the recipe; the one to train on is the first.

        Args:
            recipe: The data section of the recipe.
        """
        named = {recipe.train_split: self.train}
        named.setdefault(recipe.projection_split or recipe.train_split, self.projection)
        named.setdefault(recipe.validation_split, self.validation)
        return named


def training_view(
    data: SegmentationDataset, recipe: DataRecipe, model: Segmenter
) -> SegmentationDataset:
    """Return the data set with the recipe's random scale, crop, flip and jitter."""
    return data.with_transform(
        training_transform(
            recipe.crop,
            mean=model.mean,
            std=model.std,
            scale=recipe.scale_range,
            relative_to=recipe.scale_relative_to,
            log_uniform=recipe.log_uniform_scale,
            flip=recipe.flip,
            color_jitter=recipe.color_jitter,
            ignore_index=data.ignore_index,
            antialias=recipe.antialias,
        )
    )


def training_loader(
    data: Any,
    batches: int,
    batch_size: int,
    *,
    seed: int,
    workers: int = 0,
    start: int = 0,
    shared: bool = False,
) -> Loader:
    """Return a given number of shuffled batches, in as many passes over the data as needed.

    Args:
        data: Data set with the samples.
        batches: Total number of batches.
        batch_size: Number of samples per batch and process.
        seed: Seed of the order and of the transforms; see
            :class:`~protoxai.training.feeding.seeded_sampling.SeededSamples`.
        workers: Number of processes that load.
        start: Number of the first batch; those before were trained on already.
        shared: Whether every process sees all batches, instead of its share.
    """
    return DataLoader(
        SeededSamples(data, seed),
        batch_sampler=SeededBatches(start, batches, batch_size, shared=shared),
        num_workers=workers,
        collate_fn=collate if isinstance(data, SegmentationDataset) else None,
        persistent_workers=workers > 0,
    )


def evaluation_loader(data: SegmentationDataset, recipe: DataRecipe, model: Segmenter) -> Loader:
    """Return this process's share of the images, each once, at the evaluation size."""
    return DataLoader(
        evaluation_view(data, recipe, model),
        recipe.evaluation_batch_size,
        sampler=range(rank(), len(data), world_size()),
        num_workers=recipe.workers,
        collate_fn=collate,
    )


def projection_loader(data: SegmentationDataset, recipe: DataRecipe, model: Segmenter) -> Loader:
    """Return this process's share of the images, each once, at the projection size.

    Images of their own sizes come one by one, since they cannot be stacked.
    """
    if recipe.projection_size == "native":
        recipe = replace(recipe, evaluation_size=None, evaluation_batch_size=1)
    return evaluation_loader(data, recipe, model)


def evaluation_view(
    data: SegmentationDataset, recipe: DataRecipe, model: Segmenter | None
) -> SegmentationDataset:
    """Return the data set as a model evaluates it.

    Args:
        data: Data set without a transform.
        recipe: Data section of a recipe, whose evaluation size the images are resized to.
        model: Model whose mean and standard deviation the images are normalised by; None for those
            of ImageNet.
    """
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if model is None else (model.mean, model.std)
    transform = evaluation_transform(
        recipe.evaluation_size, mean=mean, std=std, antialias=recipe.antialias
    )
    return data.with_transform(transform)


def class_weights(data: SegmentationDataset, recipe: DataRecipe) -> Tensor | None:
    """Return ``frequency ** -class_balance`` of each class, with mean 1; None if all are equal."""
    if recipe.class_balance == 0:
        return None
    weights = class_frequencies(data, limit=500).clamp_min(RAREST) ** -recipe.class_balance
    return weights / weights.mean()
