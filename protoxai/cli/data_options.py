"""The options of commands that read a data set: the keys of a recipe's data, and plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protoxai.cli.plugins import add_plugin_option

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

SECTION = "data"


def add_data_options(parser: ArgumentParser) -> None:
    """Add ``--plugin`` and each key of a recipe's data to the options of a command."""
    from protoxai.training.recipes.command_line import add_recipe_keys
    from protoxai.training.recipes.data_recipe import DataRecipe

    add_plugin_option(parser)
    add_recipe_keys(parser, DataRecipe, SECTION)


def data_keys() -> dict[str, Any]:
    """Return the type of each key of a recipe's data, by its option."""
    from protoxai.training.recipes.command_line import keys_of
    from protoxai.training.recipes.data_recipe import DataRecipe

    return keys_of(DataRecipe, SECTION)


def given_data_keys(options: Namespace) -> dict[str, Any]:
    """Return the keys of a recipe's data that were given, as values by dotted keys."""
    from protoxai.training.recipes.command_line import given_keys
    from protoxai.training.recipes.data_recipe import DataRecipe

    return given_keys(DataRecipe, options, SECTION)
