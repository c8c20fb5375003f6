"""What is checked before a run begins, so that what cannot work fails at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from protoxai.data.label_check import DataError, report_labels
from protoxai.labels import labels_at
from protoxai.losses import ScaleProtoSegLoss
from protoxai.model.prediction import predicted_labels
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.projection.search import PrototypeSearch
from protoxai.runtime.distributed import gather, own_device, rank
from protoxai.runtime.files import write_json
from protoxai.training.feeding.loaders import (
    Splits,
    evaluation_loader,
    projection_loader,
    training_loader,
    training_view,
)
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.stages.errors import explaining

Batch = Mapping[str, Any]
CLASSES_SHOWN = 40
"""Number of classes up to which the table of the labels is logged."""


def check_data(recipe: Recipe, splits: Splits, output: Path, log: Callable[[str], None]) -> None:
    """Refuse labels that teach nothing, in all processes after the first one has counted them.

    Args:
        recipe: Recipe of the run.
        splits: Data of the run.
        output: Folder of the run, which gets ``labels.json``.
        log: Function that receives the table and the warnings.

    Raises:
        DataError: If no model can be trained on the labels, or some cannot be read.
    """
    errors = _count_labels(recipe, splits, output, log) if rank() == 0 else []
    errors = gather(errors)[0]
    if errors:
        raise DataError("; ".join(errors))


def _count_labels(
    recipe: Recipe, splits: Splits, output: Path, log: Callable[[str], None]
) -> list[str]:
    try:
        report = report_labels(splits.by_name(recipe.data))
    except (ValueError, OSError) as error:
        return [str(error)]
    write_json(output / "labels.json", report.to_plain())
    if len(report.class_names) <= CLASSES_SHOWN:
        log(f"labels:\n{report}")
    for warning in report.warnings:
        log(f"warning: {warning}")
    return report.errors


def rehearse(model: Segmenter, recipe: Recipe, splits: Splits) -> None:
    """Evaluate, project and train on one batch each, with a copy of the model.

    The model and the random numbers of the run stay as they are.

    Args:
        model: Model of the run.
        recipe: Recipe of the run.
        splits: Data of the run.

    Raises:
        RunError: If a batch cannot be made or processed.
    """
    data, model = recipe.data, copy.deepcopy(model)
    training = training_loader(
        training_view(splits.train, data, model),
        1,
        recipe.stages[0].batch_size or data.batch_size,
        seed=recipe.seed,
        workers=data.workers,
        shared=True,
    )
    parts = [
        ("evaluation", evaluation_loader(splits.validation, data, model), _evaluate),
        ("projection", projection_loader(splits.projection, data, model), _project),
        ("training", training, _train),
    ]
    ignore_index = splits.train.ignore_index
    with torch.random.fork_rng([own_device()] if own_device().type == "cuda" else []):
        for title, loader, process in parts:
            with explaining(partial(str, f"the first batch of the {title} fails")):
                for batch in loader:
                    process(model, recipe, batch, ignore_index)
                    break


@torch.no_grad()
def _evaluate(model: Segmenter, recipe: Recipe, batch: Batch, ignore_index: int) -> None:
    del recipe, ignore_index
    logits = model.eval().logits(batch["image"].to(own_device()))
    predicted_labels(logits, batch["labels"].shape[1:])


@torch.no_grad()
def _project(model: Segmenter, recipe: Recipe, batch: Batch, ignore_index: int) -> None:
    actions = [action for stage in recipe.stages for action in stage.after]
    if "project" not in actions or not isinstance(model, ScaleProtoSeg) or model.grouped:
        return
    prototypes = model.prototype_layer.prototypes
    search = PrototypeSearch(model.table, prototypes, ignore_index=ignore_index)
    embedding = model.eval().embed(batch["image"].to(own_device()))
    on_grid = labels_at(batch["labels"], (embedding.shape[3], embedding.shape[4]))
    search.update(embedding, on_grid, batch["index"])


def _train(model: Segmenter, recipe: Recipe, batch: Batch, ignore_index: int) -> None:
    """Compute the loss of every stage, and the gradient of the first."""
    images, labels = batch["image"].to(own_device()), batch["labels"].to(own_device())
    for number, stage in enumerate(recipe.stages):
        weights: dict[str, Any] = stage.loss_weights
        criterion = ScaleProtoSegLoss(**weights, ignore_index=ignore_index)
        if isinstance(model, ScaleProtoSeg) and "group" in stage.before:
            model.group(stage.num_groups)
        if number == 0:
            output = model.train()(images)
        elif isinstance(model, ScaleProtoSeg):
            output = model.forward_embedding(output.embedding.detach())
        head = model.head if isinstance(model, ScaleProtoSeg) else None
        terms = criterion(output, labels, head)
        if number == 0:
            terms["loss"].backward()
