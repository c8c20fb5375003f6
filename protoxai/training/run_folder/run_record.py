"""The record of a run: its recipe, the versions of libraries, the state of the code."""

from __future__ import annotations

import dataclasses
import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from protoxai.runtime.distributed import rank, world_size
from protoxai.runtime.files import to_json, write_file, write_json
from protoxai.training.recipes.construct import construct
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.renamed import with_new_names

LIBRARIES = ("protoxai", "torch", "torchvision", "timm", "lightning", "torchmetrics", "numpy")
# Keys that may change when a run continues, because no training depends on them.
INCIDENTAL = {
    "name",
    "target",
    "baseline",
    "plugins",
    "checkpoint_every",
    "log_every",
    "loggers",
    "data.root",
    "data.workers",
    "data.evaluation_batch_size",
}


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain values, with lists instead of tuples."""
    values: dict[str, Any] = json.loads(to_json(dataclasses.asdict(recipe)))
    return values


def recorded_recipe(values: dict[str, Any]) -> dict[str, Any]:
    """Return the recipe of a checkpoint as this version would record it.

    Args:
        values: Recipe as plain values, perhaps of the previous version.
    """
    return plain_recipe(construct(Recipe, with_new_names(values)))


def write_recipe(recipe: Recipe, output: Path) -> None:
    """Write ``recipe.yaml`` into the run folder, from the first process.

    Args:
        recipe: Recipe as it is run.
        output: Folder of the run.
    """
    import yaml

    if rank() == 0:
        text = yaml.safe_dump(plain_recipe(recipe), sort_keys=False, allow_unicode=True)
        write_file(output / "recipe.yaml", f"# The recipe as it was run.\n{text}")


def write_environment(recipe: Recipe, output: Path) -> None:
    """Write ``environment.json`` into the run folder, from the first process.

    Args:
        recipe: Recipe as it is run.
        output: Folder of the run.
    """
    if rank() != 0:
        return
    environment = {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "processes": world_size(),
        "threads": torch.get_num_threads(),
        "seed": recipe.seed,
        "git": _git_state(),
    }
    write_json(output / "environment.json", environment)


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Return the keys in which two plain recipes differ so that their training would differ too.

    Args:
        first: A recipe as plain values.
        second: Another one.
    """
    skipped = set(INCIDENTAL)
    stages = [stage for recipe in (first, second) for stage in recipe["stages"]]
    projects = any("project" in stage["after"] for stage in stages)
    sizes = [recipe["data"]["projection_size"] for recipe in (first, second)]
    if not projects:
        skipped.add("data.projection_size")
    if all(stage["validate"] == "never" for stage in stages):
        skipped.add("data.validation_split")
        # The projection may read images at the size of the evaluation.
        if not projects or all(size == "native" for size in sizes):
            skipped.add("data.evaluation_size")
    return sorted(set(_differences(first, second, "")) - skipped)


def _differences(first: Any, second: Any, place: str) -> Iterator[str]:
    """Yield the dotted keys in which plain values differ; a stage's key is its name."""
    if isinstance(first, list) and isinstance(second, list) and place == "stages.":
        names = [[stage["name"] for stage in stages] for stages in (first, second)]
        if names[0] == names[1] and len(set(names[0])) == len(first):
            first, second = (dict(zip(names[0], stages, strict=True)) for stages in (first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted({*first, *second}):
            yield from _differences(first.get(key), second.get(key), f"{place}{key}.")
    elif first != second:
        yield place.removesuffix(".")


def _git_state() -> dict[str, Any] | None:
    """Return the commit of the code and whether it was changed since; None outside of git."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        call = ["git", "-C", str(folder), *arguments]
        output = subprocess.run(call, capture_output=True, check=True).stdout
        return output.decode("utf-8", "replace").strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None
