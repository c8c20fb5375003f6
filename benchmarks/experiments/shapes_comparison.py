"""DeepLabv2, ProtoSeg and ScaleProtoSeg on synthetic shapes: one trunk, one budget, three seeds.

Run it with ``python benchmarks/experiments/shapes_comparison.py [--steps N] [--output DIR]``; it
prints the comparison as it comes out, and writes it to ``comparison.json``.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from protoxai.cli.train import quiet_lightning
from protoxai.runtime.files import write_json
from protoxai.training import Recipe, run


def with_steps(recipe: Recipe, steps: int | None) -> Recipe:
    """Return the recipe with another number of steps for the stages that train the trunk."""
    if steps is None:
        return recipe
    stages = [
        replace(stage, steps=steps) if "backbone" in stage.learning_rates else stage
        for stage in recipe.stages
    ]
    return replace(recipe, stages=stages)


def main() -> None:
    """Train every model with every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, help="optimizer steps of joint training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--output", type=Path, default=Path("runs/shapes-comparison"))
    chosen = parser.parse_args()
    quiet_lightning()
    recipe = with_steps(Recipe.load("shapes"), chosen.steps)
    methods = {
        "DeepLabv2": recipe.as_baseline(),
        "ProtoSeg": recipe.as_protoseg(),
        "ScaleProtoSeg": recipe,
    }
    scores: dict[str, list[float]] = {name: [] for name in methods}
    active: dict[str, list[int]] = {name: [] for name in methods}
    for seed in chosen.seeds:
        for name, method in methods.items():
            folder = chosen.output / f"{name.lower()}-{seed}"
            seeded = replace(method, seed=seed)
            last = run(seeded, folder, log=lambda _: None, progress=False).rows[-1].scores
            scores[name].append(100 * last.mean_iou)
            active[name].append(last.active_prototypes)
            print(f"seed {seed}, {name}: mIoU {scores[name][-1]:.2f}", flush=True)
    table = Table("model", *(f"seed {seed}" for seed in chosen.seeds), "mean", "std", "active")
    for name, values in scores.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        cells = [f"{value:.2f}" for value in (*values, statistics.mean(values), spread)]
        used = f"{statistics.mean(active[name]):.0f}" if any(active[name]) else ""
        table.add_row(name, *cells, used)
    Console().print(table)
    content = {"seeds": chosen.seeds, "mean_iou": scores, "active_prototypes": active}
    write_json(chosen.output / "comparison.json", content)


if __name__ == "__main__":
    main()
