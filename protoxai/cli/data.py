"""``protoxai data check``: the labels of a data set, counted and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protoxai.cli.data_options import add_data_options, data_keys, given_data_keys
from protoxai.cli.plugins import import_plugins
from protoxai.runtime.extras import require
from protoxai.runtime.paths import expanded

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "check the labels of a data set"
DESCRIPTION = (
    "Count the labels of a data set's splits, up to 500 images of each, in at most 30 seconds. The "
    "exit code is 2 if no model can be trained on them. The data set is that of a recipe, or named "
    "by --data.dataset and the like."
)
recipe_keys = data_keys


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("action", choices=["check"], help="What to do: check.")
    parser.add_argument(
        "recipe", nargs="?", help="YAML file, or name of a recipe that comes with the package."
    )
    parser.add_argument("--output", metavar="FILE", help="JSON file for the counts.")
    add_data_options(parser)


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    del parser
    output = None if options.output is None else expanded(options.output, "--output")
    require("train", "lightning", "rich")
    import_plugins(options)
    from protoxai.data.label_check import DataError, report_labels
    from protoxai.runtime.files import write_json
    from protoxai.training.class_names import check_splits_fit
    from protoxai.training.feeding.loaders import Splits
    from protoxai.training.recipes.data_recipe import DataRecipe
    from protoxai.training.recipes.reader import construct_data
    from protoxai.training.recipes.recipe import Recipe

    keys = given_data_keys(options)
    if options.recipe is None:
        data = construct_data(DataRecipe, keys)
    else:
        data = Recipe.load(options.recipe, keys).data
    splits = Splits.of(data)
    check_splits_fit(splits)
    report = report_labels(splits.by_name(data))
    if output is not None:
        write_json(output, report.to_plain())
    print(report)
    for warning in report.warnings:
        print(f"warning: {warning}")
    if report.errors:
        raise DataError("; ".join(report.errors))
    return 0
