"""The YAML files of recipes: where they are, and how one extends another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from protoxai.runtime.checks import did_you_mean

Values = dict[str, Any]


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the key and how to fix it."""


class RunError(ValueError):
    """A run that cannot continue; the message says where it stopped, why, and how to fix it."""


def shipped_recipes() -> dict[str, Path]:
    """Return the file of each recipe that comes with the package, by name."""
    package = Path(__file__).parents[2]
    folders = [package / "recipes", package.parent / "benchmarks" / "recipes"]
    files = sorted(path for folder in folders for path in folder.glob("*.yaml"))
    return {path.stem: path for path in files}


def find_recipe(source: str | Path) -> Path:
    """Return the file of a recipe given by its path or by the name it comes with.

    Args:
        source: A YAML file, or the name of a recipe that comes with the package.

    Raises:
        RecipeError: If there is no such recipe.
    """
    path = Path(source)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    if str(source) not in shipped:
        raise RecipeError(
            f"there is no recipe {source}{did_you_mean(source, shipped)}: give a YAML file or one "
            f"of {', '.join(sorted(shipped))}"
        )
    return shipped[str(source)]


def recipe_title(path: Path) -> str:
    """Return the title of a recipe: the beginning of the comment in its first line."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return re.split(r"[,:;.](?:\s|$)", first.lstrip("# "))[0]


def is_recorded(path: Path) -> bool:
    """Return whether a file is the recipe that a run recorded in its folder."""
    return path.name == "recipe.yaml" and (path.parent / "environment.json").is_file()


def read_values(path: Path, children: tuple[Path, ...] = ()) -> Values:
    """Return the values of a recipe over those of the recipe that it ``extends``, if any.

    Args:
        path: File of the recipe.
        children: Files that extend this one.

    Raises:
        RecipeError: If a file is no YAML mapping, or the recipe that it extends does not fit.
    """
    import yaml

    if path in children:
        raise RecipeError(f"{path} extends itself: remove one `extends` from the circle")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: the file is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: the file is {values!r}, expected keys and values")
    if isinstance(values.get("plugins"), list):
        values["plugins"] = [_from_folder(plugin, path.parent) for plugin in values["plugins"]]
    parent = values.pop("extends", None)
    if parent is None:
        return values
    file = path.parent / str(parent)
    if not file.is_file():
        raise RecipeError(f"{path} extends {parent}, but there is no file {file}")
    return _merged(read_values(file, (*children, path)), values)


def _from_folder(plugin: object, folder: Path) -> object:
    """Return the path of a plugin that is a file beside the recipe; names stay as they are."""
    is_file = isinstance(plugin, str) and plugin.endswith(".py")
    return str((folder / str(plugin)).resolve()) if is_file else plugin


def _merged(below: Values, above: Values) -> Values:
    """Return values over others: mappings key by key, stages by name, anything else replaced."""
    merged = dict(below)
    for key, value in above.items():
        under = below.get(key)
        if key == "stages" and isinstance(value, dict) and isinstance(under, list):
            merged[key] = _merged_stages(under, value)
        elif isinstance(value, dict) and isinstance(under, dict):
            merged[key] = _merged(under, value)
        else:
            merged[key] = value
    return merged


def _merged_stages(below: list[Values], changes: Values) -> list[Values]:
    names = [str(stage.get("name")) for stage in below]
    for name in changes:
        if name not in names:
            raise RecipeError(
                f"stages changes {name!r}{did_you_mean(name, names)}, but the recipe it extends "
                f"has {', '.join(names)}"
            )
    # A stage set to null is removed.
    return [
        {**stage, **changes.get(name, {})}
        for name, stage in zip(names, below, strict=True)
        if changes.get(name, {}) is not None
    ]
