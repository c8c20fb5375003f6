"""The record of a run: its recipe, the versions of libraries, the state of the code."""

from __future__ import annotations

import dataclasses
import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from protoxai.runtime.distributed import world_size
from protoxai.training.recipes.construct import construct
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.renamed import with_new_names

LIBRARIES = ("protoxai", "torch", "torchvision", "timm", "lightning", "torchmetrics", "numpy")
# Keys that may differ between a run and its resumption without changing the result.
INCIDENTAL = {"checkpoint_every", "log_every", "loggers", "plugins", "target", "baseline"}


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain values, with lists instead of tuples."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return values


def recorded_recipe(values: dict[str, Any]) -> dict[str, Any]:
    """Return the recipe of a checkpoint as this version would record it.

    Args:
        values: Recipe as plain values, perhaps of the previous version.
    """
    return plain_recipe(construct(Recipe, with_new_names(values)))


def write_records(recipe: Recipe, output: Path) -> None:
    """Write ``recipe.yaml`` and ``environment.json`` into the run folder.

    Args:
        recipe: Recipe as it is run.
        output: Folder of the run, made if it is missing.
    """
    import yaml

    output.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(plain_recipe(recipe), sort_keys=False)
    (output / "recipe.yaml").write_text(f"# The recipe as it was run.\n{text}")
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
    (output / "environment.json").write_text(json.dumps(environment, indent=1) + "\n")


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Return the keys in which two plain recipes differ so that their results would differ too.

    Args:
        first: A recipe as plain values.
        second: Another one.
    """
    skipped = {"root", "workers", *INCIDENTAL}
    keys = []
    for key in sorted({*first, *second} - skipped):
        one, other = first.get(key), second.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            keys += [f"{key}.{inner}" for inner in differences(one, other)]
        elif one != other:
            keys.append(key)
    return keys


def _git_state() -> dict[str, Any] | None:
    """Return the commit of the code and whether it was changed since; None outside of git."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        call = ["git", "-C", str(folder), *arguments]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None
