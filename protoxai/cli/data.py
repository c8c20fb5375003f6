"""``protoxai data check``: the labels of a data set, counted and checked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from protoxai.cli.plugins import add_plugin_option, import_plugins
from protoxai.runtime.extras import require
from protoxai.runtime.paths import expanded

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "check the labels of a data set"
DESCRIPTION = (
    "Count the labels of a data set's splits, up to 500 images of each, in at most 30 seconds. The "
    "exit code is 1 if no model can be trained on them. The data set is that of a recipe, or named "
    "by --data.dataset and the like."
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    from protoxai.training.recipes.command_line import add_recipe_keys
    from protoxai.training.recipes.data_recipe import DataRecipe

    parser.add_argument("action", choices=["check"], help="What to do: check.")
    parser.add_argument(
        "recipe", nargs="?", help="YAML file, or name of a recipe that comes with the package."
    )
    parser.add_argument("--output", metavar="FILE", help="JSON file for the counts.")
    add_plugin_option(parser)
    add_recipe_keys(parser, DataRecipe, "data")


def recipe_keys() -> dict[str, Any]:
    """Return the type of each recipe key that is an option."""
    from protoxai.training.recipes.command_line import keys_of
    from protoxai.training.recipes.data_recipe import DataRecipe

    return keys_of(DataRecipe, "data")


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    del parser
    output = None if options.output is None else expanded(options.output, "--output")
    require("train", "lightning", "rich")
    import_plugins(options)
    from protoxai.data.label_check import report_labels
    from protoxai.runtime.files import write_json
    from protoxai.training.class_names import check_splits_fit
    from protoxai.training.feeding.loaders import Splits
    from protoxai.training.recipes.command_line import given_keys
    from protoxai.training.recipes.data_recipe import DataRecipe
    from protoxai.training.recipes.reader import construct_data
    from protoxai.training.recipes.recipe import Recipe

    keys = given_keys(DataRecipe, options, "data")
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
    for error in report.errors:
        print(f"error: {error}", file=sys.stderr)
    return 1 if report.errors else 0
