"""The YAML files of recipes: where they are, and how one extends another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from protoxai.runtime.checks import did_you_mean, instance, short, shown
from protoxai.runtime.files import FileError, read_text

Values = dict[str, Any]
MOST_BYTES = 1_000_000


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
    instance("the recipe", source, (str, Path), "a YAML file, or a recipe's name")
    if _is_file(source):
        return Path(source)
    shipped, name = shipped_recipes(), str(source)
    if name not in shipped:
        raise RecipeError(
            f"there is no recipe {short(name)}{did_you_mean(name, shipped)}: give a YAML file or "
            f"one of {', '.join(sorted(shipped))}"
        )
    return shipped[name]


def _is_file(path: str | Path) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def recipe_title(path: Path) -> str:
    """Return the title of a recipe: the beginning of the comment in its first line."""
    first = read_text(path).partition("\n")[0]
    return re.split(r"[,:;.](?:\s|$)", first.lstrip("# "))[0]


def is_recorded(path: Path) -> bool:
    """Return whether a file is the recipe that a run recorded in its folder."""
    return path.name == "recipe.yaml" and (path.parent / "environment.json").is_file()


def load_values(path: Path) -> Values:
    """Return the keys and values of one file, in which plugins beside it have their whole path.

    Args:
        path: File of a recipe.

    Raises:
        RecipeError: If the file cannot be read, is too large, or is no YAML mapping.
    """
    import yaml

    from protoxai.training.recipes.limited_yaml import load_text

    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise RecipeError(
                f"{path} has {size} bytes, more than {MOST_BYTES}: a recipe is a short YAML file"
            )
        values = load_text(read_text(path))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read ({error.strerror}): check the path") from None
    except FileError as error:
        raise RecipeError(str(error)) from None
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{path}: the file is no YAML: {reason}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: the file is {shown(values)}, expected keys and values")
    if isinstance(values.get("plugins"), list):
        values["plugins"] = [_from_folder(plugin, path.parent) for plugin in values["plugins"]]
    return values


def parent_file(name: object, child: Path) -> Path:
    """Return the file that a recipe extends: one beside it, or one that comes with the package.

    Args:
        name: Value of ``extends``.
        child: File of the recipe that extends it.

    Raises:
        RecipeError: If there is no such recipe.
    """
    if not isinstance(name, str):
        raise RecipeError(f"{child}: extends is {shown(name)}, expected a file or a recipe's name")
    file, shipped = child.parent / name, shipped_recipes()
    if _is_file(file):
        return file
    if name not in shipped:
        raise RecipeError(
            f"{child} extends {short(name)}, but there is no file {short(file)}, and no recipe of "
            f"that name comes with the package{did_you_mean(name, shipped)}"
        )
    return shipped[name]


def _from_folder(plugin: object, folder: Path) -> object:
    """Return the path of a plugin that is a file beside the recipe; names stay as they are."""
    is_file = isinstance(plugin, str) and plugin.endswith(".py")
    return str((folder / str(plugin)).resolve()) if is_file else plugin
