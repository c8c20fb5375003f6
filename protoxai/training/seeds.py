"""A recipe run with several seeds, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from protoxai.runtime.checks import positive
from protoxai.runtime.console import print_line
from protoxai.runtime.distributed import gather, rank
from protoxai.runtime.files import read_json, write_file, write_json
from protoxai.runtime.stopping import Stopped, on_stop
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.yaml_files import RunError, load_values
from protoxai.training.run_folder.resuming import check_same_recipe
from protoxai.training.run_folder.run_record import recorded_recipe
from protoxai.training.seed_scores import SeedScores, conditions

Train = Callable[[Recipe, Path, bool], object]
"""Function that trains a recipe in a folder; the last argument says whether to resume."""
NEW, BEGUN, FINISHED = "new", "begun", "finished"


def run_seeds(
    recipe: Recipe,
    output: Path,
    count: int,
    train: Train,
    *,
    resume: bool = False,
    log: Callable[[str], None] = print_line,
) -> None:
    """Train a recipe with its seed and those that follow, each in ``seed-N`` of the output folder.

    After each of them, the scores of all that are finished are written to ``seeds.json``,
    ``seeds.md`` and ``seeds.tex``, by the first process; at the end they are logged.

    Args:
        recipe: Recipe to run.
        output: Folder of all runs.
        count: Number of seeds.
        train: Function that trains one of them.
        resume: Whether to skip the seeds that are finished, and to continue those that are not.
        log: Function that receives the lines that are printed.

    Raises:
        ValueError: If the number of seeds is less than 1.
        RunError: If there is nothing to resume, or a folder holds a run of another recipe.
        RecipeError: If a seed would be too large.
        Stopped: If a signal has stopped a run.
    """
    seeds = [recipe.seed + number for number in range(positive("seeds", count))]
    recipes = {output / f"seed-{seed}": replace(recipe, seed=seed) for seed in seeds}
    # The files are those of the first process, wherever the others run.
    states = gather({folder: _state(folder, each) for folder, each in recipes.items()})[0]
    _check_start(output, states, resume=resume)
    for number, (folder, each) in enumerate(recipes.items(), start=1):
        finished = states[folder] == FINISHED
        if rank() == 0:
            title = f"seed {each.seed} ({number} of {count})"
            log(f"{title} is finished" if finished else f"{title}: {folder}")
        if finished:
            continue
        done = list(states.values()).count(FINISHED)
        with _stop_message(f"stopped in seed {each.seed}, {done} of {count} seeds are finished"):
            train(each, folder, states[folder] == BEGUN)
        states[folder] = FINISHED
        if rank() == 0:
            _write_scores(output, [folder for folder in recipes if states[folder] == FINISHED])
    if rank() == 0:
        log(_write_scores(output, list(recipes)))


def _state(folder: Path, recipe: Recipe) -> str:
    """Return how far the run in a folder is, after checking that it is one of the recipe."""
    if not any(folder.glob("checkpoints/*.pt")):
        return NEW
    # Without it, the checkpoint will be compared.
    if (folder / "recipe.yaml").is_file():
        check_same_recipe(folder, recorded_recipe(load_values(folder / "recipe.yaml")), recipe)
    names = {recipe.name} | ({recipe.as_baseline().name} if recipe.baseline else set())
    explained = recipe.method == "DeepLabv2" or (folder / "report.html").is_file()
    metrics = read_json(folder / "metrics.json") if (folder / "metrics.json").is_file() else {}
    return FINISHED if names <= set(metrics) and explained else BEGUN


def _check_start(output: Path, states: Mapping[Path, str], *, resume: bool) -> None:
    """Raise an error if there is nothing to resume, or something that would be overwritten."""
    begun = [folder for folder, state in states.items() if state != NEW]
    first, last = next(iter(states)), list(states)[-1]
    if resume and not any(folder.is_dir() for folder in states):
        raise RunError(
            f"{output} has none of the folders {first.name} to {last.name} to resume: check "
            "--output, --seed and --seeds, or start without --resume"
        )
    if begun and not resume:
        raise RunError(
            f"{begun[0]} holds a run already: continue with --resume, or choose another output "
            "folder"
        )


@contextmanager
def _stop_message(done: str) -> Iterator[None]:
    """Describe a stop by the seed; the log in its folder has the step."""
    try:
        with on_stop(lambda: ""):
            yield
    except Stopped as stop:
        stop.message = f"{done}; continue with --resume"
        raise


def _write_scores(output: Path, folders: Sequence[Path]) -> str:
    """Write the scores of finished seeds, and return them for a terminal."""
    metrics = [read_json(folder / "metrics.json") for folder in folders]
    environments = [read_json(folder / "environment.json") for folder in folders]
    runs = {
        run["method"]: [each[name]["steps"] for each in metrics] for name, run in metrics[0].items()
    }
    scores, note = SeedScores.of(runs), conditions(environments)
    content = {
        "seeds": [environment["seed"] for environment in environments],
        "conditions": note,
        "rows": scores.to_plain(),
    }
    write_json(output / "seeds.json", content)
    note = f"Mean ± standard deviation over seeds; {note}."
    write_file(output / "seeds.md", f"{scores.to_markdown()}\n{note}\n")
    write_file(output / "seeds.tex", f"% {note}\n{scores.to_latex()}")
    return f"{scores.to_text()}\n{note}"
