"""Readability of the three methods on CamVid: trained on two videos and asked about the third.

Run ``python benchmarks/interpretability/camvid.py --root FOLDER``: for each of CamVid's three
videos it trains the models that are not trained yet in ``--runs``, and compares them on tasks of
that video. The frames of a video are alike and there are three videos, so there is no interval:
the figures stand by video, with wins and losses. It writes a JSON file for each video and their
tables to ``benchmarks/interpretability/results/``, and the headline figures to
``docs/findings.md``. The same command continues wherever it was stopped.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from benchmarks.interpretability.findings import PAGE, VIDEOS, write
from benchmarks.interpretability.records import RESULTS, stored
from benchmarks.interpretability.study import (
    METHODS,
    compared,
    misalignment,
    prototype_figures,
    scores_of,
    tasks_of,
    trained,
    view_of,
)
from protoxai import ScaleProtoSeg
from protoxai.cli.train import quiet_lightning
from protoxai.runtime.files import write_file
from protoxai.training import Recipe

ADVERSARY_STEPS = 10
"""Fewer than the metric's default, since the images are large."""
RECIPES = dict(zip(METHODS, ("camvid", "camvid_protoseg", "camvid_deeplabv2"), strict=True))


def main() -> None:
    """Train, compare, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=os.environ.get("PROTOXAI_CAMVID"), help="CamVid's folder")
    parser.add_argument("--runs", type=Path, default=Path("runs/camvid"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--videos", nargs="+", choices=VIDEOS, default=VIDEOS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--part-images", type=int, default=50)
    parser.add_argument("--misaligned", type=int, default=10)
    parser.add_argument("--budget", type=float, help="seconds for each video's comparison")
    chosen = parser.parse_args()
    if not chosen.root:
        parser.error("give the folder of CamVid by --root, or in PROTOXAI_CAMVID")
    quiet_lightning()
    for video in chosen.videos:
        recipes = {
            f"camvid-{video}-{method}-{chosen.seed}".lower(): Recipe.load(
                RECIPES[method],
                {
                    "data.root": chosen.root,
                    "data.options": {"held_out": video},
                    "seed": chosen.seed,
                    "baseline": False,
                },
            )
            for method in chosen.methods
        }
        results = trained(recipes, chosen.runs)
        folder = chosen.runs / f"table-{video}"
        view = view_of(next(iter(results.values())))
        tasks = tasks_of(view, chosen.tasks)
        table = compared(list(results.values()), tasks, folder, chosen.budget)
        prototypes = {
            name: prototype_figures(result.model, view, chosen.part_images)
            | misalignment(result.model, tasks[: chosen.misaligned], view, ADVERSARY_STEPS)
            for name, result in results.items()
            if isinstance(result.model, ScaleProtoSeg)
        }
        record = stored(table, scores=scores_of(results), prototypes=prototypes)
        write_file(RESULTS / f"camvid-{video}.json", record)
        write(RESULTS, PAGE)


if __name__ == "__main__":
    main()
