"""ScaleProtoSeg, ProtoSeg and DeepLabv2 on CamVid, five seeds each, on two splits.

Run ``python benchmarks/experiments/camvid.py --root FOLDER`` with the folder of CamVid. Each run
leaves a JSON file in ``benchmarks/experiments/results/``; one that has its file is skipped, and one
that was stopped is resumed, so the same command continues wherever it was stopped. Several
processes may divide the runs by ``--methods``, ``--splits`` and ``--seeds``.

The splits are the usual one, and one that leaves the video 0006R0 out of the training and validates
on it: it has as many images as the usual validation split, and shows all classes.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.experiments.records import RESULTS, keep, record, trained
from protoxai.cli.train import quiet_lightning
from protoxai.data import CamVid
from protoxai.evaluation import evaluate
from protoxai.runtime.paths import expanded
from protoxai.training import Recipe, RunResult
from protoxai.training.feeding.loaders import evaluation_loader

RECIPES = {
    "ScaleProtoSeg": "camvid",
    "ProtoSeg": "camvid_protoseg",
    "DeepLabv2": "camvid_deeplabv2",
}
HELD_OUT = {"usual": None, "0006R0": "0006R0"}
"""Video that each split leaves out of the training, see ``protoxai.data.CamVid``."""


def main() -> None:
    """Train every method on every split with every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=os.environ.get("PROTOXAI_CAMVID"), help="CamVid's folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--splits", nargs="+", choices=list(HELD_OUT), default=list(HELD_OUT))
    parser.add_argument("--methods", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--output", type=Path, default=Path("runs/camvid"), help="run folders")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON files")
    parser.add_argument("--smoke", action="store_true", help="one step per stage")
    chosen = parser.parse_args()
    if not chosen.root:
        parser.error("give the folder of CamVid by --root, or in PROTOXAI_CAMVID")
    quiet_lightning()
    # Seeds outermost: whatever is done at any time compares the methods.
    for seed in chosen.seeds:
        for split in chosen.splits:
            for method in chosen.methods:
                recipe = recipe_of(method, split, seed, chosen.root)
                name = f"camvid-{split}-{method}-{seed}".lower()
                file = chosen.results / f"{name}.json"
                if not file.exists():
                    recipe = recipe.smoke() if chosen.smoke else recipe
                    folder = chosen.output / name
                    result, seconds = trained(recipe, folder)
                    held_out = recipe.data.options.get("held_out")
                    more = {"held_out": held_out, "test": test_scores(result)}
                    keep(file, record(result, folder, seconds, **more))


def recipe_of(method: str, split: str, seed: int, root: str) -> Recipe:
    """Return the recipe of a run."""
    keys: dict[str, Any] = {"data.root": root, "seed": seed, "baseline": False}
    if HELD_OUT[split] is not None:
        keys["data.options"] = {"held_out": HELD_OUT[split]}
    return Recipe.load(RECIPES[method], keys)


def test_scores(result: RunResult) -> dict[str, Any] | None:
    """Return the scores of the trained model on the test split; None where there is none."""
    data = result.recipe.data
    root = expanded(str(data.root))
    if not (root / "test").is_dir():
        return None
    test = CamVid(root, "test", cache=False)
    loader = evaluation_loader(test, data, result.model)
    scores = evaluate(result.model, loader, ignore_index=test.ignore_index, group_of=test.group)
    return {"images": len(test), **asdict(scores)}


if __name__ == "__main__":
    main()
