"""A run folder that explains itself: the recipe as run, versions, the state of the code."""

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
from protoxai.training.recipes.recipe import Recipe

LIBRARIES = ("protoxai", "torch", "torchvision", "timm", "lightning", "torchmetrics", "numpy")
# What may differ between a run and its resumption without changing the result.
INCIDENTAL = {"checkpoint_every", "log_every", "loggers", "target", "baseline"}


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain values, lists instead of tuples."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return values


def write_records(recipe: Recipe, output: Path) -> None:
    """Write ``recipe.yaml`` and ``environment.json`` into the run folder."""
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
    """Return the keys in which two plain recipes differ so that their results would."""
    skipped = {"root", "workers", *INCIDENTAL}
    found = []
    for key in sorted({*first, *second} - skipped):
        one, other = first.get(key), second.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found += [f"{key}.{inner}" for inner in differences(one, other)]
        elif one != other:
            found.append(key)
    return found


def _git_state() -> dict[str, Any] | None:
    """Return the commit the code is at and whether it was changed since, where git knows it."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        call = ["git", "-C", str(folder), *arguments]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None
