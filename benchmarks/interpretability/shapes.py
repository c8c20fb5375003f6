"""Readability of ScaleProtoSeg, ProtoSeg and DeepLabv2 on synthetic shapes, over three seeds.

Run ``python benchmarks/interpretability/shapes.py``: it trains the models that are not trained yet
in ``--runs``, compares those of each seed on the same tasks, and on tasks with several parts, which
are removed one by one; averages each task over the seeds; and writes ``shapes.json``,
``shapes-parts.json``, their tables and pictures to ``benchmarks/interpretability/results/``, and
the headline figures to ``docs/findings.md``. The same command continues wherever it was stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.interpretability.findings import PAGE, write
from benchmarks.interpretability.records import RESULTS, stored
from benchmarks.interpretability.study import (
    METHODS,
    compared,
    misalignment,
    prototype_figures,
    recipe_of,
    scores_of,
    tasks_of,
    trained,
    view_of,
    with_parts,
)
from protoxai import ScaleProtoSeg
from protoxai.cli.train import quiet_lightning
from protoxai.comparison import mean_over_seeds
from protoxai.runtime.files import write_file, write_picture
from protoxai.training import Recipe

ADVERSARY_STEPS = 40


def main() -> None:
    """Train, compare, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/shapes-comparison"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--part-tasks", type=int, default=40)
    parser.add_argument("--part-images", type=int, default=100)
    parser.add_argument("--misaligned", type=int, default=12)
    parser.add_argument("--budget", type=float, help="seconds for each seed's comparison")
    chosen = parser.parse_args()
    quiet_lightning()
    recipe = Recipe.load("shapes")
    recipes = {
        f"{method.lower()}-{seed}": replace(recipe_of(method, recipe), seed=seed)
        for seed in chosen.seeds
        for method in chosen.methods
    }
    results = trained(recipes, chosen.runs)
    view = view_of(next(iter(results.values())))
    tasks = tasks_of(view, chosen.tasks)
    several = with_parts(tasks_of(view, None))[: chosen.part_tasks]
    tables, part_tables = [], []
    for seed in chosen.seeds:
        models = [results[f"{method.lower()}-{seed}"] for method in chosen.methods]
        tables.append(compared(models, tasks, chosen.runs / f"table-{seed}", chosen.budget))
        folder = chosen.runs / f"parts-{seed}"
        part_tables.append(compared(models, several, folder, chosen.budget, ["part_intervention"]))
    table = mean_over_seeds(tables)
    prototypes = {
        name: prototype_figures(result.model, view, chosen.part_images)
        | misalignment(result.model, tasks[: chosen.misaligned], view, ADVERSARY_STEPS)
        for name, result in results.items()
        if isinstance(result.model, ScaleProtoSeg)
    }
    record = stored(table, scores=scores_of(results), prototypes=prototypes)
    write_file(RESULTS / "shapes.json", record)
    write_file(RESULTS / "shapes-parts.json", stored(mean_over_seeds(part_tables)))
    write_picture(RESULTS / "shapes-differences.png", table.differences_figure())
    write_picture(RESULTS / "shapes-cost.png", table.cost_figure())
    write(RESULTS, PAGE)
    print(table.to_text())


if __name__ == "__main__":
    main()
