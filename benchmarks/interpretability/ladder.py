"""The sanity ladder: can each figure of a comparison tell a true explanation from a false one?

- ``python benchmarks/interpretability/ladder.py known`` measures all figures on the model whose
  reasons are known.
- ``... ladder.py shapes RUN`` measures those with an arrow on a model trained on Shapes.
- ``... ladder.py removal RUN`` measures the one that removes parts, on tasks with several of them.
- ``... ladder.py randomisation RUN`` shuffles the layers of a trained model.
- ``... ladder.py noise known``, ``... ladder.py noise RUN`` and ``... ladder.py camvid RUN``
  measure the faithfulness of several draws of smooth and of pixel noise.
- ``... ladder.py parts`` measures the figures of prototypes on detectors of parts.
- ``... ladder.py page`` writes the tables of the stored results to ``docs/ladder.md``.

RUN is the folder of a run, or the model in it; the tasks are those of its recipe's validation
split, in the size at which the recipe evaluates. Each command but the last writes a file to
``--results``. A command that is repeated with the same ``--output`` continues where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from benchmarks.experiments.pages import with_block
from benchmarks.interpretability import detectors
from benchmarks.interpretability.ladder_tables import PARTS, tables
from benchmarks.interpretability.records import RESULTS, conditions, stored
from benchmarks.interpretability.rungs import KNOWN_REAL, NOISES, KnownModel, known_tasks, rungs
from benchmarks.interpretability.study import tasks_of, with_parts
from protoxai.attribution.reference_maps import ReferenceMap
from protoxai.comparison import Comparison, Task, compare, explainers_of, mean_over_seeds
from protoxai.metrics import metric_named, registered_metrics
from protoxai.runtime.checks import instance
from protoxai.runtime.files import read_json, read_text, to_json, write_file
from protoxai.training import Recipe
from protoxai.training.feeding.loaders import Splits, evaluation_view
from protoxai.training.open_model import RECIPE, open_model, run_of
from protoxai.training.results import Row

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/ladder.md"
SIDE = 96
"""Height and width of the pictures of the known model."""
KNOWN = "known"
TASKS = {
    KNOWN: 48,
    "shapes": 48,
    "removal": 100,
    "randomisation": 10,
    "noise": 48,
    "camvid": 20,
}
DRAWS = {"noise": 2, "camvid": 2}
RANDOMISATION, REMOVAL = "parameter_randomisation", "part_intervention"


class Subject(NamedTuple):
    """A model and the tasks that it is asked.

    Attributes:
        name: Name of the data and of the model.
        model: The model.
        tasks: Function of their number, or None for all, that returns the tasks.
        about: What is stored of the model: its data, and the seed and scores of its training.
    """

    name: str
    model: nn.Module
    tasks: Callable[[int | None], list[Task]]
    about: Mapping[str, Any]


def main() -> None:
    """Measure a ladder, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ladder", choices=[*TASKS, "parts", "page"])
    parser.add_argument("model", nargs="?", help=f"folder of a run; for noise also `{KNOWN}`")
    parser.add_argument("--tasks", type=int, help="number of tasks")
    parser.add_argument("--draws", type=int, help="number of draws of noise")
    parser.add_argument("--output", type=Path, help="folder that keeps what is measured")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    chosen = parser.parse_args()
    kind = chosen.ladder
    if kind == "page":
        write_file(PAGE, with_block(read_text(PAGE), "ladder", tables(chosen.results)))
        return
    if kind == "parts":
        measured = conditions() | {"figures": detectors.measured()}
        write_file(chosen.results / PARTS, to_json(measured, indent=None) + "\n")
        return
    if kind != KNOWN and chosen.model is None:
        parser.error(f"{kind} requires the folder of a run")
    is_known = kind == KNOWN or (kind == "noise" and chosen.model == KNOWN)
    subject = known() if is_known else trained(Path(chosen.model))
    name = subject.name if kind in ("known", "shapes", "camvid") else f"{kind}-{subject.name}"
    output = chosen.output or Path("runs/ladder") / name
    count = chosen.tasks or TASKS[kind]
    tasks = with_parts(subject.tasks(None))[:count] if kind == "removal" else subject.tasks(count)
    if kind in DRAWS:
        table = of_noise(subject.model, tasks, chosen.draws or DRAWS[kind], output)
    else:
        table = of_rungs(kind, subject.model, tasks, output)
    content = stored(table, ladder=kind, **subject.about)
    write_file(chosen.results / f"ladder-{name}.json", content)


def known() -> Subject:
    """Return the model whose reasons are known."""
    return Subject(KNOWN, KnownModel(), partial(known_tasks, size=SIDE), {"data": KNOWN})


def trained(folder: Path) -> Subject:
    """Return a trained model, asked about the validation split of its recipe.

    Args:
        folder: Folder of the run, or of the model in it.

    Raises:
        ValueError: If the folder is neither.
    """
    run = run_of(folder) or run_of(folder.parent)
    if run is None:
        raise ValueError(f"{folder} is no run: give the folder that `protoxai train` has written")
    recipe, model = Recipe.load(run / RECIPE), open_model(run)
    steps = read_json(run / "metrics.json")[recipe.name]["steps"]
    view = evaluation_view(Splits.of(recipe.data).validation, recipe.data, model)
    about = {
        "data": recipe.data.dataset,
        "model_seed": recipe.seed,
        "scores": str(Row.from_plain(steps[-1]).scores),
    }
    name = f"{recipe.data.dataset}-{type(model).__name__.lower()}"
    return Subject(name, model, partial(tasks_of, view), about)


def of_rungs(kind: str, model: nn.Module, tasks: Sequence[Task], output: Path) -> Comparison:
    """Measure the rungs of a model.

    Args:
        kind: Which of the ladders it is, which determines the metrics.
        model: Model that is explained.
        tasks: Tasks.
        output: Folder that keeps what is measured.
    """
    names = [name for name in registered_metrics() if name != RANDOMISATION]
    ranking = [name for name in names if ranks(name) and name != REMOVAL]
    metrics = {
        KNOWN: names,
        # A trained model is where the agreement with perturbations fails.
        "shapes": [*ranking, "perturbation_agreement"],
        "removal": [REMOVAL],
        # Shuffling changes nothing in the known model, whose weights are equal.
        "randomisation": [RANDOMISATION],
    }[kind]
    is_known = kind == KNOWN
    explainers = rungs(model, tasks, KNOWN_REAL if is_known else None, exact=is_known)
    return compare(explainers, tasks, metrics=metrics, output=output)


def of_noise(model: nn.Module, tasks: Sequence[Task], draws: int, output: Path) -> Comparison:
    """Measure the faithfulness of noise, each task's value as a mean over several draws.

    Args:
        model: Model that is explained.
        tasks: Tasks.
        draws: Number of draws.
        output: Folder that keeps what is measured.
    """
    tables = []
    for draw in range(draws):
        noise = explainers_of([model], NOISES, references=False)
        for explainer in noise:
            instance("explainer", explainer, ReferenceMap).seed = draw
        folder = output / f"draw-{draw}"
        names = ("faithfulness", "patch_faithfulness")
        tables.append(compare(noise, tasks, metrics=names, output=folder))
    return mean_over_seeds(tables)


def ranks(metric: str) -> bool:
    """Return whether a metric has a figure with a direction."""
    return any(up is not None for up in metric_named(metric).figures.values())


if __name__ == "__main__":
    main()
