"""From the text of a recipe to its dataclass: file, overrides, plugins, checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protoxai.runtime.checks import short
from protoxai.runtime.extras import require
from protoxai.runtime.paths import expanded
from protoxai.runtime.plugins import import_plugin
from protoxai.training.recipes.command_line import parse_overrides
from protoxai.training.recipes.construct import construct, fitted
from protoxai.training.recipes.inheritance import read_values, with_keys
from protoxai.training.recipes.renamed import with_new_names
from protoxai.training.recipes.yaml_files import RecipeError, Values, find_recipe, is_recorded


def read_recipe(
    recipe: type, source: str | Path, overrides: Sequence[str] | Mapping[str, Any]
) -> Any:
    """Return a recipe, checked.

    Args:
        recipe: The dataclass of recipes.
        source: A YAML file, or the name of a recipe that comes with the package.
        overrides: Command-line arguments, or values by dotted keys.

    Raises:
        RecipeError: If there is no such recipe, or a key or a value does not fit.
    """
    require("train", "jsonargparse", "yaml")
    path = find_recipe(source)
    values = read_values(path)
    if is_recorded(path):
        values = with_new_names(values)
    try:
        given = overrides if isinstance(overrides, Mapping) else parse_overrides(recipe, overrides)
        return construct_recipe(recipe, with_keys(values, given))
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def construct_recipe(recipe: type, values: Values) -> Any:
    """Return the recipe that has these values, after importing its plugins.

    Args:
        recipe: The dataclass of recipes.
        values: Content of a recipe's file, as plain values.

    Raises:
        RecipeError: If a key or a value does not fit.
    """
    # Checked before code is run; the names of losses are checked once plugins have added theirs.
    for plugin in fitted(values, recipe).get("plugins", ()):
        import_plugin(plugin)
    built = construct(recipe, values)
    return dataclasses.replace(built, data=_with_root(built.data))


def construct_data(data: type, given: Mapping[str, Any]) -> Any:
    """Return the data section of these keys, for what does not crop.

    Args:
        data: The dataclass of the section.
        given: Values by dotted keys, such as ``data.root``.

    Raises:
        RecipeError: If a key or a value does not fit.
    """
    for key in given:
        if not str(key).startswith("data."):
            raise RecipeError(f"there is no key {short(key)}, expected keys such as data.root")
    values = with_keys({"data": {"crop": [1, 1]}}, given)["data"]
    return _with_root(construct(data, values, "data"))


def _with_root(data: Any) -> Any:
    if data.root is None:
        return data
    try:
        root = expanded(data.root, "data.root")
    except ValueError as error:
        raise RecipeError(f"{error}, such as --data.root=FOLDER") from None
    return dataclasses.replace(data, root=str(root))
