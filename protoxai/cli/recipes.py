"""``protoxai recipes``: the recipes that come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "list the recipes that come with the package"
DESCRIPTION = "List the recipes that come with the package, with their method and their data."


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command: none."""


def recipe_keys() -> dict[str, Any]:
    """Return the type of each recipe key that is an option: none."""
    return {}


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    del options, parser
    from protoxai.training.recipes.recipe import Recipe
    from protoxai.training.recipes.yaml_files import recipe_title, shipped_recipes

    shipped = shipped_recipes()
    width = max(map(len, shipped))
    for name, path in shipped.items():
        # Its environment variable need not be set for a list.
        method = Recipe.load(path, {"data.root": None}).method
        print(f"{name:{width}}  {method:13}  {recipe_title(path)}")
    return 0
