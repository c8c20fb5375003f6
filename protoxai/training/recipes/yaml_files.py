"""Reading a recipe: YAML on top of the recipe it extends, checked against its types."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from protoxai.runtime.extras import require
from protoxai.training.recipes.diagnosis import closest, explain_misfit

Values = dict[str, Any]


class RecipeError(ValueError):
    """A recipe that cannot be read, with the key and how to mend it."""


def read_recipe(recipe: type, source: str | Path, overrides: Sequence[str]) -> Values:
    """Return the checked fields of a recipe.

    Args:
        recipe: the dataclass whose fields they are.
        source: a YAML file, or the name of a recipe that comes with the package.
        overrides: command-line arguments such as ``--data.root=/data/camvid``.

    Raises:
        RecipeError: if there is no such recipe, or a key or a value does not fit.
    """
    require("train", "jsonargparse", "yaml")
    from jsonargparse import ArgumentError

    path = find_recipe(source)
    values = _with_parents(path, ())
    parser = recipe_parser(recipe)
    try:
        config = parser.parse_args([f"--config={_as_text(values)}", *overrides])
        fields: Values = parser.instantiate(config).as_dict()
    except (ArgumentError, ValueError, TypeError) as error:
        raise RecipeError(explain_misfit(recipe, path, values, str(error))) from error
    fields.pop("config", None)
    data = fields["data"]
    return {**fields, "data": replace(data, root=_expand(data.root))}


def read_data_keys(data: type, overrides: Sequence[str], defaults: Values) -> Values:
    """Return the checked fields of a recipe's data, from the command line over defaults.

    Raises:
        RecipeError: if a key or a value does not fit.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(prog="protoxai evaluate MODEL", exit_on_error=False)
    parser.add_class_arguments(data, "data")
    try:
        parser.set_defaults({f"data.{key}": value for key, value in defaults.items()})
        config = parser.parse_args(list(overrides))
        fields: Values = parser.instantiate(config).data.__dict__
    except (ArgumentError, ValueError, TypeError) as error:
        raise RecipeError(" ".join(str(error).split())) from error
    return {**fields, "root": _expand(fields["root"])}


def recipe_parser(recipe: type) -> Any:
    """Return the jsonargparse parser whose options are the keys of a recipe."""
    require("train", "jsonargparse")
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog="protoxai train RECIPE", exit_on_error=False)
    parser.add_argument("--config", action="config", help="a recipe file")
    parser.add_class_arguments(recipe)
    return parser


def find_recipe(source: str | Path) -> Path:
    """Return the file of a recipe given by its path or by the name it comes with."""
    path = Path(source)
    if path.is_file():
        return path
    package = Path(__file__).parents[1]
    folders = [package / "recipes", package.parent / "benchmarks" / "recipes"]
    shipped = {p.stem: p for folder in folders for p in sorted(folder.glob("*.yaml"))}
    if str(source) not in shipped:
        raise RecipeError(
            f"there is no recipe {source}{closest(str(source), shipped)}: give a YAML file or one "
            f"of {', '.join(sorted(shipped))}"
        )
    return shipped[str(source)]


def _with_parents(path: Path, children: tuple[Path, ...]) -> Values:
    """Return a recipe's values over those of the recipe it ``extends``, if any."""
    import yaml

    if path in children:
        raise RecipeError(f"{path} extends itself: take one `extends` out of the circle")
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: the file is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: the file is {values!r}, expected keys and values")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    file = path.parent / str(parent)
    if not file.is_file():
        raise RecipeError(f"{path} extends {parent}, but there is no file {file}")
    return _merged(_with_parents(file, (*children, path)), values)


def _merged(below: Values, above: Values) -> Values:
    """Lay values over others: mappings key by key, stages by name, anything else whole."""
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
                f"stages changes {name!r}{closest(name, names)}, but the recipe it extends has "
                f"{', '.join(names)}"
            )
    # A stage set to null goes.
    return [
        {**stage, **changes.get(name, {})}
        for name, stage in zip(names, below, strict=True)
        if changes.get(name, {}) is not None
    ]


def _as_text(values: Values) -> str:
    import yaml

    return str(yaml.safe_dump(values))


def _expand(root: str | None) -> str | None:
    if root is None:
        return None
    expanded = str(Path(os.path.expandvars(str(root))).expanduser())
    if "$" in expanded:
        raise RecipeError(
            f"data.root is {root}, but that environment variable is not set: set it, or give "
            "--data.root=FOLDER"
        )
    return expanded
