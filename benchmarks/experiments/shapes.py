"""ScaleProtoSeg, ProtoSeg and DeepLabv2 on synthetic shapes: one trunk, one budget, three seeds.

Run ``python benchmarks/experiments/shapes.py``. Each run leaves a JSON file in
``benchmarks/experiments/results/``; one that has its file is skipped, and one that was stopped is
resumed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.experiments.records import RESULTS, keep, record, trained
from protoxai.cli.train import quiet_lightning
from protoxai.training import Recipe


def main() -> None:
    """Train every method with every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--output", type=Path, default=Path("runs/shapes-comparison"))
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON files")
    parser.add_argument("--smoke", action="store_true", help="one step per stage")
    chosen = parser.parse_args()
    quiet_lightning()
    recipe = Recipe.load("shapes")
    methods = {
        "ScaleProtoSeg": replace(recipe, baseline=False),
        "ProtoSeg": recipe.as_protoseg(),
        "DeepLabv2": recipe.as_baseline(),
    }
    for seed in chosen.seeds:
        for name, method in methods.items():
            file = chosen.results / f"shapes-{name.lower()}-{seed}.json"
            if not file.exists():
                seeded = replace(method, seed=seed)
                seeded = seeded.smoke() if chosen.smoke else seeded
                folder = chosen.output / f"{name.lower()}-{seed}"
                result, seconds = trained(seeded, folder)
                keep(file, record(result, folder, seconds))


if __name__ == "__main__":
    main()
