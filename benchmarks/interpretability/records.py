"""Comparisons as JSON, with what they were measured with, and as they were when read again."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from protoxai.comparison import Comparison, Result, TaskName
from protoxai.metrics import metric_named, registered_metrics
from protoxai.runtime.files import read_json, to_json

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("torch", "captum", "numpy", "scipy")


class Record(NamedTuple):
    """A stored comparison.

    Attributes:
        table: What was measured.
        conditions: Versions and threads, as part of a sentence.
        content: All that was stored.
    """

    table: Comparison
    conditions: str
    content: Mapping[str, Any]


def stored(table: Comparison, **more: Any) -> str:
    """Return a comparison as JSON, with five digits of each value.

    Args:
        table: What was measured.
        **more: What else is stored, plain values.
    """
    content = {
        **more,
        "seed": table.seed,
        "group_noun": table.group_noun,
        "model_seeds": table.model_seeds,
        "left_out": list(table.left_out),
        "tasks": [list(name) for name in table.tasks],
        **conditions(),
        "results": [_compact(result) for result in table.results],
    }
    return to_json(content, indent=None) + "\n"


def conditions() -> dict[str, Any]:
    """Return what a measurement depends on: versions and threads."""
    libraries = {name: version(name) for name in LIBRARIES}
    return {
        "versions": {"Python": platform.python_version()} | libraries,
        "threads": torch.get_num_threads(),
    }


def sentence(content: Mapping[str, Any]) -> str:
    """Return the conditions in a stored measurement as part of a sentence.

    Args:
        content: All that was stored.
    """
    versions = ", ".join(f"{name} {number}" for name, number in content["versions"].items())
    threads = content["threads"]
    return f"{versions}; {threads} thread{'s' if threads > 1 else ''}"


def read(path: Path) -> Record:
    """Return a stored comparison; directions are those of the metrics as they are now."""
    content: Mapping[str, Any] = read_json(path)
    known = {f: up for n in registered_metrics() for f, up in metric_named(n).figures.items()}
    results = [Result.from_config({"reasons": (), **result}) for result in content["results"]]
    table = Comparison(
        tuple(replace(r, figures={f: known.get(f) for f in r.figures}) for r in results),
        content["seed"],
        tuple(TaskName(*name) for name in content["tasks"]),
        content["group_noun"],
        content.get("model_seeds", 1),
        tuple(content.get("left_out", ())),
    )
    return Record(table, sentence(content), content)


def _compact(result: Result) -> dict[str, Any]:
    """Return a result as plain values with five digits, without what is empty."""
    content = result.to_config()
    content["rows"] = [
        [None if value is None else float(f"{value:.5g}") for value in row]
        for row in content["rows"]
    ]
    if not any(content["reasons"]):
        del content["reasons"]
    return content
