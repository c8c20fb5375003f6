"""The sanity ladder: can each figure of a comparison tell a true explanation from a false one?

- ``python benchmarks/interpretability/ladder.py known`` measures all figures on the model whose
  reasons are known.
- ``... ladder.py shapes MODEL`` measures those with an arrow on a trained model.
- ``... ladder.py camvid MODEL`` measures the faithfulness of noise on CamVid, in half its size.
- ``... ladder.py page`` writes the tables of the stored results to ``docs/ladder.md``.

Each of the first three writes a file to ``benchmarks/interpretability/results/``. A command that is
repeated with the same ``--output`` continues where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from benchmarks.experiments.pages import with_block
from benchmarks.interpretability.ladder_tables import tables
from benchmarks.interpretability.records import RESULTS, stored
from benchmarks.interpretability.rungs import KNOWN_REAL, KnownModel, known_tasks, rungs
from protoxai.attribution import AttributionMethod
from protoxai.comparison import Task, compare, explainers_of, select_tasks
from protoxai.metrics import metric_named, registered_metrics
from protoxai.model.loading import load_model
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.checks import instance
from protoxai.runtime.files import read_text, write_file
from protoxai.training import Recipe
from protoxai.training.feeding.loaders import Splits, evaluation_view
from protoxai.training.recipes.data_recipe import DataRecipe

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/ladder.md"
SIDE = 96
"""Height and width of the pictures of Shapes."""
CAMVID_SIZE = 180, 240
TASKS = {"known": 48, "shapes": 64, "camvid": 24}


def main() -> None:
    """Measure a ladder, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ladder", choices=[*TASKS, "page"])
    parser.add_argument("model", nargs="?", help="folder of a trained model")
    parser.add_argument("--tasks", type=int, help="number of tasks")
    parser.add_argument("--output", type=Path, help="folder that keeps what is measured")
    chosen = parser.parse_args()
    if chosen.ladder == "page":
        write_file(PAGE, with_block(read_text(PAGE), "ladder", tables(RESULTS)))
        return
    count = chosen.tasks or TASKS[chosen.ladder]
    model: nn.Module = KnownModel()
    name = chosen.ladder
    if name != "known":
        if chosen.model is None:
            parser.error(f"{name} requires the folder of a trained model")
        model = load_model(chosen.model)
        name = f"{name}-{type(model).__name__.lower()}"
    tasks, explainers, metrics = {"known": _known, "shapes": _shapes, "camvid": _camvid}[
        chosen.ladder
    ](model, count)
    output = chosen.output or Path("runs/ladder") / name
    table = compare(explainers, tasks, metrics=metrics, output=output)
    write_file(RESULTS / f"ladder-{name}.json", stored(table, ladder=chosen.ladder))


Parts = tuple[list[Task], list[AttributionMethod], Sequence[str]]


def _known(model: nn.Module, count: int) -> Parts:
    tasks = known_tasks(count, SIDE)
    return tasks, rungs(model, tasks, KNOWN_REAL, exact=True), list(registered_metrics())


def _shapes(model: nn.Module, count: int) -> Parts:
    data = replace(
        Recipe.load("shapes").data,
        options={"size": SIDE, "length": 400},
        crop=(SIDE, SIDE),
        evaluation_size=(SIDE, SIDE),
    )
    tasks = _tasks(data, model, count)
    # A trained model is where the agreement with perturbations fails.
    chosen = [n for n in registered_metrics() if ranks(n) or n == "perturbation_agreement"]
    return tasks, rungs(model, tasks), chosen


def _camvid(model: nn.Module, count: int) -> Parts:
    data = replace(Recipe.load("camvid").data, evaluation_size=CAMVID_SIZE)
    noise = explainers_of([model], ["smooth_noise", "pixel_noise"], references=False)
    return _tasks(data, model, count), noise, ["faithfulness", "patch_faithfulness"]


def _tasks(data: DataRecipe, model: nn.Module, count: int) -> list[Task]:
    view = evaluation_view(Splits.of(data).validation, data, instance("model", model, Segmenter))
    background = [n for n, name in enumerate(view.class_names) if name == "background"]
    return select_tasks(
        view,
        tasks=count,
        ignore_index=view.ignore_index,
        skip=background,
        group_of=view.group,
        background=next(iter(background), None),
        without_parts=view.without_parts if view.redraws else None,
    )


def ranks(metric: str) -> bool:
    """Return whether a metric has a figure with a direction."""
    return any(up is not None for up in metric_named(metric).figures.values())


if __name__ == "__main__":
    main()
