"""``protoxai train``: a recipe through all its stages, with a table and explanations."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protoxai.cli.plugins import add_plugin_option, import_plugins
from protoxai.runtime.distributed import process_group, rank
from protoxai.runtime.extras import require
from protoxai.runtime.paths import expanded
from protoxai.runtime.slug import slug
from protoxai.runtime.stopping import on_stop

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from protoxai.training import Recipe, RunResult, Splits

HELP = "train a recipe through all its stages"
DESCRIPTION = (
    "Train a recipe through all its stages and evaluate it after each. Every key of the recipe is "
    "an option too, which replaces the value in the file."
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    from protoxai.training.recipes.command_line import add_recipe_keys
    from protoxai.training.recipes.recipe import Recipe

    parser.add_argument(
        "recipe", nargs="?", help="YAML file, or name of a recipe that comes with the package."
    )
    add_folder_options(parser)
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="Train with N seeds, the recipe's and those that follow, each in a folder of its own, "
        "and print means and standard deviations.",
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="Run one step per stage on small crops, to see that everything works.",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="Neither count the labels nor try a batch of each kind before the training.",
    )
    add_plugin_option(parser)
    add_recipe_keys(parser, Recipe)


def add_folder_options(parser: ArgumentParser) -> None:
    """Add ``--output`` and ``--resume`` to the options of a command that trains."""
    parser.add_argument(
        "--output", metavar="FOLDER", help="Folder of the run; runs/NAME-TIME by default."
    )
    parser.add_argument(
        "--resume", action="store_true", help="Continue the run in the output folder."
    )


def folder_of(options: Namespace) -> Path | None:
    """Return the folder of ``--output``, which ``--resume`` needs; None for a new one."""
    if options.resume and options.output is None:
        raise ValueError("--resume needs --output: the folder of the run to continue")
    return None if options.output is None else expanded(options.output, "--output")


def recipe_keys() -> dict[str, Any]:
    """Return the type of each recipe key that is an option."""
    from protoxai.training.recipes.command_line import keys_of
    from protoxai.training.recipes.recipe import Recipe

    return keys_of(Recipe)


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    from protoxai.training.recipes.command_line import given_keys
    from protoxai.training.recipes.recipe import Recipe

    if options.recipe is None:
        parser.print_help()
        return 2
    return train(
        options.recipe,
        folder_of(options),
        given_keys(Recipe, options),
        plugins=import_plugins(options),
        resume=options.resume,
        smoke=options.smoke,
        check=not options.no_check,
        seeds=options.seeds,
    )


def train(
    source: str,
    output: Path | None,
    overrides: Mapping[str, Any] | None = None,
    *,
    plugins: tuple[str, ...] = (),
    resume: bool = False,
    smoke: bool = False,
    check: bool = True,
    seeds: int | None = None,
) -> int:
    """Train a recipe, and DeepLabv2 beside it if the recipe has a baseline.

    Args:
        source: A YAML file, or the name of a recipe that comes with the package.
        output: Folder of the run; None for a new one.
        overrides: Values that replace those of the recipe, by dotted keys.
        plugins: Plugins that were imported, to be recorded with the recipe.
        resume: Whether to continue the run in the output folder.
        smoke: Whether to run one step per stage only.
        check: Whether to check the labels and to try a batch before the training.
        seeds: Number of seeds to train with, each in a folder of its own; None for a single run
            in the output folder itself.

    Returns:
        The exit code.
    """
    # The recipe and its data are checked before the libraries that take long to load.
    require("train", "lightning", "rich", "jsonargparse", "yaml")
    from protoxai.training.recipes.recipe import Recipe

    recipe = Recipe.load(source, overrides or {})
    recipe = replace(recipe, plugins=tuple(dict.fromkeys([*recipe.plugins, *plugins])))
    if smoke:
        recipe = recipe.smoke()
    from protoxai.training.feeding.loaders import Splits

    splits = Splits.of(recipe.data)
    quiet_lightning()
    from protoxai.training.run_folder.ownership import owned
    from protoxai.training.seeds import run_seeds

    new = output is None
    output = output or Path("runs") / f"{slug(recipe.name)}-{time.strftime('%Y%m%d-%H%M%S')}"

    def train_one(each: Recipe, folder: Path, resume: bool) -> None:
        # The data are the same for every seed.
        first = each.seed == recipe.seed
        _train_one(each, folder, splits, resume=resume, check=check and first)

    with process_group(), owned(output), on_stop(lambda: _kept(output)):
        if new and rank() == 0:
            print(f"folder of the run: {output}", flush=True)
        if seeds is None:
            train_one(recipe, output, resume)
        else:
            run_seeds(recipe, output, seeds, train_one, resume=resume)
    return 0


def _train_one(recipe: Recipe, output: Path, splits: Splits, *, resume: bool, check: bool) -> None:
    """Train a recipe and its baseline in a folder, and print and write what became of them."""
    from protoxai.training import run as run_recipe
    from protoxai.training.results import write_metrics

    started = time.monotonic()
    if rank() == 0:
        print(f"{recipe.name}: {recipe.method}")
    results = [run_recipe(recipe, output, splits=splits, resume=resume, check=check)]
    if recipe.baseline:
        baseline = recipe.as_baseline()
        if rank() == 0:
            print(f"{recipe.name}: {baseline.method}, on the same trunk, as many steps")
        folder = output / "baseline"
        # The run may have been stopped before its baseline began.
        begun = resume and any(folder.glob("checkpoints/*.pt"))
        results.append(run_recipe(baseline, folder, splits=splits, resume=begun, check=False))
    if rank() == 0:
        write_metrics(output / "metrics.json", results)
        _print_table(results)
    explained = _write_explanations(results[0], output)
    if rank() == 0:
        files = ["model/", "metrics.json", *explained]
        print(f"{output}: {', '.join(files)} ({_minutes(started)})")


def quiet_lightning() -> None:
    """Silence Lightning's tips, but neither its progress bar nor its warnings."""
    require("train", "lightning", "rich")
    # Lightning sets its own levels when it is imported.
    import lightning.pytorch  # noqa: F401

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _write_explanations(result: RunResult, output: Path) -> list[str]:
    """Write the explanations of a run, and return the names of their files."""
    from protoxai.training.run_folder.explained import write_explanations

    data = result.splits.validation
    return write_explanations(result.model, data, result.recipe.data, output)


def _kept(output: Path) -> str:
    """Return the message of a stop before the training, or after it."""
    if (output / "metrics.json").is_file():
        return (
            f"stopped after the training; {output}/model and {output}/metrics.json are complete; "
            "write the rest with --resume"
        )
    return "stopped before the training; start again"


def _print_table(results: list[RunResult]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "after", "mIoU", "pixel accuracy", "prototypes", "active")
    for result in results:
        for row in result.rows:
            scores = row.scores
            counts = (str(scores.prototypes), str(scores.active_prototypes))
            table.add_row(
                result.recipe.method,
                row.step,
                scores.mean_iou_text(),
                f"{100 * scores.pixel_accuracy:.1f}",
                *(counts if scores.prototypes else ("", "")),
            )
        table.add_section()
    # Names of recipes and stages are not markup.
    Console(markup=False, emoji=False).print(table)


def _minutes(started: float) -> str:
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    return f"{minutes} min {seconds} s"
