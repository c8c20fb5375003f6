"""Readability of ScaleProtoSeg, ProtoSeg and DeepLabv2, by the same metrics on the same images.

Run it with ``python benchmarks/interpretability/tables.py shapes`` (or ``camvid``): it trains the
models that are not trained yet, and writes two tables to ``benchmarks/interpretability/results/``:
explanations (the models' own and Captum's) and prototypes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from protoxai import ScaleProtoSeg
from protoxai.cli.train import quiet_lightning
from protoxai.comparison import compare, explainers_of, select_tasks
from protoxai.data import SegmentationDataset
from protoxai.labels import labels_at
from protoxai.metrics import (
    ActivationScaleDiversity,
    GroupScaleDiversity,
    GroupSparsity,
    PartConsistency,
    PartStability,
    PrototypeRedundancy,
    active_prototypes,
)
from protoxai.metrics.base.per_image import PerImageMetric
from protoxai.runtime.files import write_file
from protoxai.runtime.modes import evaluating
from protoxai.training import Recipe, run
from protoxai.training.feeding.loaders import evaluation_view

RESULTS = Path(__file__).parent / "results"
METHODS = (
    "groups",
    "prototypes",
    "IntegratedGradients",
    "LayerGradCam",
    "LayerGradientXActivation",
)


@torch.no_grad()
def prototype_figures(
    model: ScaleProtoSeg, data: SegmentationDataset, images: int
) -> dict[str, str]:
    """Return the figures of a model's prototypes and groups, as text."""
    active = active_prototypes(model.head)
    redundancy = PrototypeRedundancy()
    redundancy.update(model.prototype_layer)
    figures = {
        "prototypes": str(len(model.table)),
        "active": str(len(active)),
        "redundant pairs": f"{redundancy.values()['share']:.3f}",
    }
    if model.grouped:
        for name, metric in (("groups", GroupSparsity()), ("scales", GroupScaleDiversity())):
            metric.update(model.head)
            values = metric.values().items()
            figures |= {f"{name}: {figure}": f"{value:.3f}" for figure, value in values}
    diversity = ActivationScaleDiversity(model.table, ignore_index=data.ignore_index)
    part_class = getattr(data, "part_class", ())
    consistency = stability = None
    if part_class:
        consistency = PartConsistency(model.table, part_class, active)
        stability = PartStability(model.table, part_class, active)
    with evaluating(model):
        for index in range(min(images, len(data))):
            sample = data[index]
            image = sample["image"][None]
            size = (image.shape[2], image.shape[3])
            labels = labels_at(sample["labels"][None], size)
            activations = model(image).activations
            diversity.update(activations, labels, index=index)
            if consistency is not None and stability is not None:
                parts = labels_at(sample["parts"][None], size)
                consistency.update(activations, labels, parts, index=index)
                stability.update(lambda x: model(x).activations, image, labels, parts, index=index)
    over_images: list[PerImageMetric | None] = [diversity, consistency, stability]
    for measured in over_images:
        if measured is not None:
            figures |= {name: str(value) for name, value in measured.estimates(data.group).items()}
    return figures


def markdown(columns: dict[str, dict[str, str]]) -> str:
    """Return a table with a row for each figure and a column for each model."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *(column.get(name, "–") for column in columns.values())] for name in names]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _arguments(chosen: argparse.Namespace) -> str:
    """Return the arguments as given, without the folder of the models."""
    options = {
        "seed": chosen.seed,
        "tasks": chosen.tasks,
        "part-images": chosen.part_images,
        "budget": chosen.budget,
    }
    given = [f"--{name} {value:g}" for name, value in options.items() if value is not None]
    return " ".join([chosen.recipe, *given])


def main() -> None:
    """Train the missing models, compare, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=["shapes", "camvid"])
    parser.add_argument("--runs", type=Path, help="folder of the trained models")
    parser.add_argument("--seed", type=int, help="seed of the runs (default: the recipe's)")
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--part-images", type=int, default=100)
    parser.add_argument("--budget", type=float, help="seconds for each explainer and metric")
    chosen = parser.parse_args()
    quiet_lightning()
    runs = chosen.runs or Path("runs/interpretability") / chosen.recipe
    recipe = Recipe.load(chosen.recipe)
    if chosen.seed is not None:
        recipe = replace(recipe, seed=chosen.seed)
    recipes = {
        "scaleprotoseg": recipe,
        "protoseg": recipe.as_protoseg(),
        "deeplabv2": recipe.as_baseline(),
    }
    results = {name: run(r, runs / name, resume=True) for name, r in recipes.items()}
    models = [result.model for result in results.values()]
    validation = results["scaleprotoseg"].splits.validation
    view = evaluation_view(validation, recipe.data, models[0])
    skip = [i for i, name in enumerate(validation.class_names) if name == "background"]
    tasks = select_tasks(
        view,
        tasks=chosen.tasks,
        ignore_index=view.ignore_index,
        skip=skip,
        group_of=view.group,
    )
    table = compare(
        explainers_of(models, METHODS),
        tasks,
        output=runs / "table",
        budget=chosen.budget,
        group_noun=view.group_noun,
    )
    columns = {
        results[name].recipe.method: prototype_figures(model, view, chosen.part_images)
        for name in ("scaleprotoseg", "protoseg")
        if isinstance(model := results[name].model, ScaleProtoSeg)
    }
    scores = "\n".join(
        f"- {result.recipe.method}: {result.rows[-1].scores}" for result in results.values()
    )
    text = (
        f"# {chosen.recipe}\n\n`python benchmarks/interpretability/tables.py {_arguments(chosen)}`"
        f"\n\n{scores}\n\n"
        f"## Explanations, on {len(tasks)} tasks\n\n{table.to_markdown()}\n"
        f"## Prototypes\n\n{markdown(columns)}"
    )
    write_file(RESULTS / f"{chosen.recipe}.md", text)
    table.figure().savefig(RESULTS / f"{chosen.recipe}.png", dpi=90)
    print(f"{text}\n{RESULTS}/{chosen.recipe}.md, .png")


if __name__ == "__main__":
    main()
