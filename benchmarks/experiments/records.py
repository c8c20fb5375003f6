"""Records of runs: what tables are made of."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from protoxai.runtime.files import read_json, write_json
from protoxai.training import Recipe, RunResult, run
from protoxai.training.run_folder.run_record import plain_recipe

RESULTS = Path(__file__).parent / "results"
RECORDED = ("python", "libraries", "devices", "processes", "threads", "git")

Record = dict[str, Any]


def trained(recipe: Recipe, folder: Path) -> tuple[RunResult, float | None]:
    """Train one model, or go on with it.

    Args:
        recipe: Recipe of the run.
        folder: Folder of the run.

    Returns:
        The result, and the seconds of the run; None if it was stopped in between.
    """
    resume = any(folder.glob("checkpoints/*.pt"))
    started = time.monotonic()
    result = run(recipe, folder, resume=resume, log=lambda _: None, progress=False)
    return result, None if resume else time.monotonic() - started


def record(result: RunResult, folder: Path, seconds: float | None, **more: Any) -> Record:
    """Return what is kept of a run: its recipe, its scores, the versions, no path.

    Args:
        result: Result of the run.
        folder: Folder of the run.
        seconds: Time that the run took; None if unknown.
        **more: What else an experiment keeps of it.
    """
    recipe = plain_recipe(result.recipe)
    recipe["data"].pop("root", None)
    environment = read_json(folder / "environment.json")
    return {
        "method": result.recipe.method,
        "seed": result.recipe.seed,
        "images": {"train": len(result.splits.train), "val": len(result.splits.validation)},
        "class_names": result.splits.train.class_names,
        "steps": [row.to_plain() for row in result.rows],
        "seconds": seconds,
        **more,
        **{key: environment[key] for key in RECORDED},
        "recipe": recipe,
    }


def keep(file: Path, content: Record) -> None:
    """Write a record, and print a line about it."""
    write_json(file, content)
    last = content["steps"][-1]
    print(f"{file.stem}: mIoU {100 * last['mean_iou']:.2f}", flush=True)
