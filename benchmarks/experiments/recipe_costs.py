"""What each recipe that comes with the package trains and takes, in ``docs/recipes.md``.

Run ``python benchmarks/experiments/recipe_costs.py`` when recipes or models have changed; it takes
about ten minutes. It counts operations, memory and disk (see ``training_cost.py``), measures a few
training steps on the CPU to compare the count of memory with, and writes
``benchmarks/experiments/results/recipe_costs.json`` and the page from it, with the times of runs
that were recorded there. With ``--page``, it writes the page alone.
"""

from __future__ import annotations

import argparse
import re
import statistics
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.experiments import records
from benchmarks.experiments.camvid import RECIPES
from benchmarks.experiments.measured_memory import measured_memory
from benchmarks.experiments.pages import with_block
from benchmarks.experiments.published_data import DATA, DataFacts
from benchmarks.experiments.training_cost import cost_of
from protoxai.runtime.files import read_json, read_text, write_file, write_json
from protoxai.training import Recipe
from protoxai.training.recipes.yaml_files import shipped_recipes
from protoxai.training.run_folder.run_record import differences, plain_recipe, recorded_recipe

ROOT = Path(__file__).parents[2]
RESULTS = records.RESULTS / "recipe_costs.json"
PAGE = ROOT / "docs" / "recipes.md"
# Floating-point operations per second that the hours assume, and where.
GPU, CPU = 10e12, 20e9
FOR_CPU = ("camvid", "shapes")
# Recipe, crop and backbone of the steps whose memory is measured, small enough for a CPU.
MEASURED = (
    ("shapes", (128, 128), "timm/tf_efficientnet_lite0"),
    ("em", (128, 128), "unet"),
    ("pascal_voc", (97, 97), "deeplabv2/resnet50"),
)
PUBLISHED = re.compile(r"val mIoU ([\d.]+(?: ± [\d.]+)?)")
HEAD = ("recipe", "published val mIoU", "memory", "TFLOP", "validation", "time", "run folder")

Costs = Mapping[str, Any]


def main() -> None:
    """Count, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="store_true", help="write the page from stored results")
    if not parser.parse_args().page:
        write_json(RESULTS, {"recipes": counted(), "memory": compared()})
    write_page()


def write_page() -> None:
    """Write the page from stored results."""
    runs = [read_json(path) for path in sorted(records.RESULTS.glob("camvid-*.json"))]
    write_file(PAGE, with_block(read_text(PAGE), "recipes", page(read_json(RESULTS), runs)))


def recipes() -> dict[str, Recipe]:
    """Return the recipes that come with the package, by name; their data need not exist."""
    return {
        name: Recipe.load(path, {"data.root": None}) for name, path in shipped_recipes().items()
    }


def counted() -> Costs:
    """Return what every recipe takes, its baseline included."""
    costs = {}
    for name, recipe in recipes().items():
        costs[name] = recipe_cost(recipe, DATA[recipe.data.dataset])
        print(name, costs[name], flush=True)
    return costs


def recipe_cost(recipe: Recipe, facts: DataFacts) -> Costs:
    """Return what a recipe takes, its baseline included, as plain values.

    Args:
        recipe: The recipe.
        facts: Facts about its data set.
    """
    cost = asdict(cost_of(recipe, facts))
    if recipe.baseline:
        other = asdict(cost_of(recipe.as_baseline(), facts))
        # One is trained after the other; both folders stay.
        cost = {
            key: max(value, other[key]) if key == "memory" else value + other[key]
            for key, value in cost.items()
        }
    return cost


def compared() -> list[Costs]:
    """Return the memory of training steps, counted and measured."""
    results: list[Costs] = []
    loaded = recipes()
    for name, crop, backbone in MEASURED:
        recipe = loaded[name]
        # The stage that trains the trunk has the most memory.
        stage = next(stage for stage in recipe.stages if "backbone" in stage.learning_rates)
        recipe = replace(
            recipe,
            stages=[replace(stage, steps=1)],
            data=replace(recipe.data, crop=crop),
            model=replace(recipe.model, backbone=backbone),
        )
        facts = DATA[recipe.data.dataset]
        measured = measured_memory(recipe, facts.num_classes)
        case = {"recipe": name, "crop": list(crop), "backbone": backbone}
        results.append({**case, "counted": cost_of(recipe, facts).memory, "measured": measured})
        print(results[-1], flush=True)
    return results


def page(results: Costs, runs: Sequence[records.Record]) -> str:
    """Return the part of the page that the command writes.

    Args:
        results: Content of the JSON file.
        runs: Records of runs on CamVid.
    """
    ratios = [case["measured"] / case["counted"] for case in results["memory"]]
    found = f"{min(ratios):.2f} to {max(ratios):.2f}"
    loaded = recipes()
    own = {
        dataset: {name: each for name, each in loaded.items() if each.data.dataset == dataset}
        for dataset in DATA
    }
    lines = [
        f"In {len(ratios)} smaller cases, the CPU took {found} times the memory that was counted.",
        "",
        _row(HEAD),
        _row(["---"] * len(HEAD)),
    ]
    for group in own.values():
        lines += [
            _row(_cells(name, each, results["recipes"][name], measured_time(name, each, runs)))
            for name, each in group.items()
        ]
    for dataset, facts in DATA.items():
        lines += _section(dataset, facts, own[dataset])
    return "\n".join(lines)


def measured_time(name: str, recipe: Recipe, runs: Sequence[records.Record]) -> str:
    """Return the mean time of a recipe's runs, with their number; nothing if none was timed.

    Args:
        name: Name of the recipe.
        recipe: The recipe.
        runs: Records of runs; those of other recipes or of changed ones are left out, and those
            that were stopped in between, whose time is unknown.
    """
    own = {**plain_recipe(recipe), "seed": 0}
    timed = [
        run
        for run in runs
        if RECIPES[run["method"]] == name
        and run["seconds"] is not None
        and not differences(recorded_recipe({**run["recipe"], "seed": 0}), own)
    ]
    if not timed:
        return ""
    mean = _duration(statistics.fmean(run["seconds"] for run in timed) / 3600)
    threads = " or ".join(str(count) for count in sorted({run["threads"] for run in timed}))
    conditions = f"n = {len(timed)}, {threads} thread{'s' * (threads != '1')}"
    return f"; measured {mean} ({conditions}{', without its baseline' * recipe.baseline})"


def _cells(name: str, recipe: Recipe, cost: Costs, measured: str) -> list[str]:
    operations = cost["training"] + cost["validation"] + cost["projection"]
    published = PUBLISHED.search(recipe.target)
    hours = operations / (CPU if recipe.data.dataset in FOR_CPU else GPU) / 3600
    return [
        f"`{name}`",
        published[1] if published else "",
        f"{cost['memory'] / 1e9:.1f} GB",
        f"{_two_digits(operations / 1e12)}",
        f"{100 * cost['validation'] / operations:.0f} %",
        f"{_duration(hours)}{measured}",
        f"{cost['disk'] / 1e9:.1f} GB" if cost["disk"] >= 1e9 else f"{cost['disk'] / 1e6:.0f} MB",
    ]


def _duration(hours: float) -> str:
    return f"{_two_digits(hours)} h" if hours >= 1 else f"{_two_digits(60 * hours)} min"


def _two_digits(value: float) -> str:
    """Return two significant digits, without an exponent."""
    rounded = float(f"{value:.1e}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:.1f}"


def _section(dataset: str, facts: DataFacts, own: Mapping[str, Recipe]) -> Iterator[str]:
    """Return the lines about one data set and its recipes."""
    splits = ", ".join(f"{count:,} in `{split}`" for split, count in facts.images.items())
    place = (
        f"Expected in the folder {facts.layout}: `$PROTOXAI_{dataset.upper()}` or `--data.root`."
    )
    where = f"{place} {facts.disk}" if facts.layout else "Drawn while training; no files."
    size = f"{facts.size[0]} x {facts.size[1]}"
    yield from ("", f"## {facts.title}", "")
    yield _wrapped(f"{facts.num_classes} classes; images, typically of {size}: {splits}. {where}")
    yield ""
    for name, recipe in own.items():
        yield _wrapped(f"- `{name}`: {describe(recipe, facts.num_classes)}", indent="  ")


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 120, subsequent_indent=indent, break_on_hyphens=False)


def describe(recipe: Recipe, num_classes: int) -> str:
    """Return what a recipe trains, for how long, and what it should reach.

    Args:
        recipe: The recipe.
        num_classes: Number of classes.
    """
    text = recipe.method
    if recipe.method != "DeepLabv2":
        scales = len(recipe.model.atrous_rates) if recipe.model.scales == "atrous" else 1
        text += f", {num_classes * scales * recipe.model.prototypes_per_scale:,} prototypes"
    steps = ", ".join(f"{stage.name} {stage.steps:,}" for stage in recipe.stages)
    batch = f"{recipe.data.batch_size} images of {recipe.data.crop[0]} x {recipe.data.crop[1]}"
    accumulated = {stage.accumulate_grad_batches for stage in recipe.stages}
    if accumulated != {1}:
        (number,) = accumulated
        batch = f"{number} batches of {batch}"
    text += f" on `{recipe.model.backbone}`. Steps of {batch}: {steps}."
    if recipe.baseline:
        text += " Then DeepLabv2 on the same trunk, included in the table."
    return f"{text} Target: {recipe.target}." if recipe.target else text


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
