"""What the studies of interpretability share: trained models, comparisons and records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.experiments import records
from protoxai import ScaleProtoSeg
from protoxai.comparison import Comparison, Task, compare, explainers_of, select_tasks
from protoxai.data import SegmentationDataset
from protoxai.labels import labels_at
from protoxai.metrics import (
    ActivationScaleDiversity,
    GroupOverlap,
    GroupScaleDiversity,
    GroupSparsity,
    PartConsistency,
    PartStability,
    PerImageMetric,
    PrototypeMisalignment,
    PrototypePurity,
    PrototypeRedundancy,
    active_prototypes,
)
from protoxai.metrics.explanation.part_intervention import FEWEST
from protoxai.runtime.checks import instance
from protoxai.runtime.modes import evaluating
from protoxai.training import Recipe, RunResult
from protoxai.training.feeding.loaders import evaluation_view

METHODS = ("ScaleProtoSeg", "ProtoSeg", "DeepLabv2")
METRICS = (
    *("faithfulness", "relevance_mass", "active_units", "cost"),
    *("off_target_leakage", "target_sensitivity"),
)
"""Metrics of the headline figures, and what else is quick."""


def recipe_of(method: str, recipe: Recipe) -> Recipe:
    """Return the recipe of a method, from that of ScaleProtoSeg."""
    if method == "ScaleProtoSeg":
        return replace(recipe, baseline=False)
    return recipe.as_protoseg() if method == "ProtoSeg" else recipe.as_baseline()


def trained(recipes: dict[str, Recipe], runs: Path) -> dict[str, RunResult]:
    """Train the models of recipes that are not trained yet, each in a folder of its name."""
    results = {}
    for name, recipe in recipes.items():
        results[name], _ = records.trained(recipe, runs / name)
        print(f"{name}: {results[name].rows[-1].scores}", flush=True)
    return results


def view_of(result: RunResult) -> SegmentationDataset:
    """Return the validation split as a trained model sees it."""
    return evaluation_view(result.splits.validation, result.recipe.data, result.model)


def tasks_of(view: SegmentationDataset, count: int | None) -> list[Task]:
    """Return tasks of a data set, none of which asks about its background."""
    skip = [n for n, name in enumerate(view.class_names) if name == "background"]
    return select_tasks(
        view,
        tasks=count,
        ignore_index=view.ignore_index,
        skip=skip,
        group_of=view.group,
        background=next(iter(skip), None),
        without_parts=view.without_parts if view.redraws else None,
    )


def with_parts(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks of whose objects enough parts can be removed to be ranked."""
    return [
        task
        for task in tasks
        if task.without_parts and sum(1 for _ in task.without_parts()) >= FEWEST
    ]


def compared(
    results: Sequence[RunResult],
    tasks: Sequence[Task],
    folder: Path,
    budget: float | None,
    metrics: Sequence[str] = METRICS,
) -> Comparison:
    """Compare trained models on tasks, and keep what is measured in a folder."""
    return compare(
        explainers_of([result.model for result in results]),
        tasks,
        metrics=metrics,
        output=folder,
        budget=budget,
        group_noun=view_of(results[0]).group_noun,
    )


def misalignment(
    model: ScaleProtoSeg, tasks: Sequence[Task], view: SegmentationDataset, steps: int
) -> dict[str, str]:
    """Return the figures of misalignment over tasks, as text, and the adversary's steps."""
    metric = PrototypeMisalignment(steps)
    for number, task in enumerate(tasks):
        own = int(task.class_index)
        size = (task.image.shape[2], task.image.shape[3])
        labels = labels_at(instance("labels", task.labels, Tensor), size)
        metric.update(model, task.image, labels == own, own, index=number)
    groups = [view.group(int(task.image_index or 0)) for task in tasks]
    figures = {name: str(value) for name, value in metric.estimates(groups.__getitem__).items()}
    return figures | {"adversary's steps": str(steps)}


@torch.no_grad()
def prototype_figures(
    model: ScaleProtoSeg, view: SegmentationDataset, images: int
) -> dict[str, str]:
    """Return the figures of a model's prototypes and groups over the first images, as text."""
    active = active_prototypes(model.head)
    redundancy = PrototypeRedundancy()
    redundancy.update(model.prototype_layer)
    figures = {
        "prototypes": str(len(model.table)),
        "active": str(len(active)),
        "redundant pairs": f"{redundancy.values()['share']:.3f}",
    }
    if model.grouped:
        kinds = {"groups": GroupSparsity(), "scales": GroupScaleDiversity(), "": GroupOverlap()}
        for name, metric in kinds.items():
            metric.update(model.head)
            for figure, value in metric.values().items():
                figures[f"{name}: {figure}".removeprefix(": ")] = f"{value:.3f}"
    part_class = getattr(view, "part_class", ()) or None
    diversity = ActivationScaleDiversity(model.table, ignore_index=view.ignore_index)
    purity = PrototypePurity(model.table, part_class, active, ignore_index=view.ignore_index)
    consistency = stability = None
    if part_class:
        consistency = PartConsistency(model.table, part_class, active)
        stability = PartStability(model.table, part_class, active)
    with evaluating(model):
        for index in range(min(images, len(view))):
            sample = view[index]
            image = sample["image"][None]
            size = (image.shape[2], image.shape[3])
            labels = labels_at(sample["labels"][None], size)
            parts = labels_at(sample["parts"][None], size) if part_class else None
            activations = model(image).activations
            diversity.update(activations, labels, index=index)
            purity.update(activations, labels, parts, index=index)
            if parts is not None and consistency is not None and stability is not None:
                consistency.update(activations, labels, parts, index=index)
                stability.update(lambda x: model(x).activations, image, labels, parts, index=index)
    over_images: list[PerImageMetric | None] = [diversity, consistency, stability]
    for measured in filter(None, over_images):
        figures |= {name: str(value) for name, value in measured.estimates(view.group).items()}
    unseen = len(purity.per_prototype().unseen)
    seen = f"({len(active) - unseen} of {len(active)} active prototypes seen)"
    return figures | {name: f"{value:.3f} {seen}" for name, value in purity.compute().items()}


def scores_of(results: dict[str, RunResult]) -> dict[str, str]:
    """Return the final scores of each run, as text."""
    return {name: str(result.rows[-1].scores) for name, result in results.items()}
