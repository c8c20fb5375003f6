"""Values of a recipe over those of the recipe that it extends, and single keys over both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protoxai.runtime.checks import did_you_mean, short, shown
from protoxai.runtime.slug import slug
from protoxai.training.recipes.yaml_files import RecipeError, Values, load_values, parent_file

MOST_PARENTS = 20


def read_values(path: Path, children: tuple[Path, ...] = ()) -> Values:
    """Return the values of a recipe over those of the recipe that it ``extends``, if any.

    Args:
        path: File of the recipe.
        children: Files that extend this one.

    Raises:
        RecipeError: If a file is no YAML mapping, or the recipe that it extends does not fit.
    """
    # Resolved, so that another spelling of a path or a link does not hide a circle.
    if path.resolve() in [child.resolve() for child in children]:
        raise RecipeError(f"{path} extends itself: remove one `extends` from the circle")
    if len(children) > MOST_PARENTS:
        raise RecipeError(f"{children[0]} extends too many files, more than {MOST_PARENTS}")
    values = load_values(path)
    parent = values.pop("extends", None)
    if parent is None:
        return values
    below = read_values(parent_file(parent, path), (*children, path))
    try:
        return merged(below, values)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Values:
    """Return values over others: mappings key by key, stages by name, anything else replaced.

    Args:
        below: Values of the recipe that is extended.
        above: Values of the recipe that extends it.

    Raises:
        RecipeError: If a stage is changed that is not there.
    """
    result = dict(below)
    for key, value in above.items():
        under = below.get(key)
        if key == "stages" and isinstance(value, Mapping) and isinstance(under, list):
            for name, changes in value.items():
                result[key] = _with_stage(result[key], str(name), changes)
        elif isinstance(value, Mapping) and isinstance(under, Mapping):
            result[key] = merged(own_options(under, value) if key == "data" else under, value)
        else:
            result[key] = value
    return result


def with_keys(values: Values, given: Mapping[str, Any]) -> Values:
    """Return values in which single keys are replaced.

    Args:
        values: Values of a recipe, which stay as they are.
        given: Values by dotted keys; ``stages.NAME.KEY`` is that of a stage.

    Raises:
        RecipeError: If a key leads nowhere.
    """
    for key in given:
        if not isinstance(key, str):
            raise RecipeError(f"there is no key {shown(key)}, expected text such as 'data.root'")
    if isinstance(values.get("data"), Mapping):
        data = {key.removeprefix("data."): value for key, value in given.items()}
        values = {**values, "data": own_options(values["data"], data)}
    # All stages first, then changes of single ones.
    for key in sorted(given, key=lambda key: key.startswith("stages.")):
        if key.startswith("stages.") and isinstance(values.get("stages"), list):
            changed = _with_stage(values["stages"], key.removeprefix("stages."), given[key])
            values = {**values, "stages": changed}
        else:
            values = _with_key(values, key.split("."), given[key], key)
    return values


def own_options(data: Mapping[str, Any], changes: Mapping[str, Any]) -> Values:
    """Return a data section without options that are cleared, or those of another data set.

    Args:
        data: Section that is changed.
        changes: Its new values.
    """
    same = _key(changes.get("dataset", data.get("dataset"))) == _key(data.get("dataset"))
    keeps = same and changes.get("options") != {}
    return {key: value for key, value in data.items() if keeps or key != "options"}


def _key(dataset: object) -> str:
    """Return the name of a data set as the registry compares it."""
    return str(dataset).lower().replace("-", "_")


def _with_stage(stages: Sequence[Any], path: str, value: object) -> list[Any]:
    """Return stages of which one is changed.

    Args:
        stages: Values of each stage.
        path: Name of the stage as it is or as in files, perhaps with the key in it: NAME.KEY.
        value: Value of the key; or, for the stage, its new values or null, which removes it.
    """
    names = [str(stage.get("name")) if isinstance(stage, Mapping) else "" for stage in stages]
    spellings = {spelling: name for name in names for spelling in (slug(name), name)}
    # The longest fits best: a name may be the beginning of another one.
    for spelling in sorted(spellings, key=len, reverse=True):
        if path == spelling or path.startswith(f"{spelling}."):
            place = names.index(spellings[spelling])
            changed = _changed_stage(stages[place], path[len(spelling) + 1 :], value)
            return [*stages[:place], *changed, *stages[place + 1 :]]
    wrong = path.partition(".")[0]
    raise RecipeError(
        f"stages changes {shown(wrong)}{did_you_mean(wrong, names)}, but the recipe has the stages "
        f"{', '.join(map(short, names))}"
    )


def _changed_stage(stage: Values, key: str, value: object) -> list[Values]:
    """Return a list of the changed stage, or an empty one if it is removed."""
    place = f"stages.{short(stage['name'])}"
    if key:
        return [_with_key(stage, key.split("."), value, f"{place}.{key}")]
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise RecipeError(
            f"{place} is {shown(value)}, expected keys and values, or null to remove the stage"
        )
    return [{**stage, **value}]


def _with_key(values: Values, keys: Sequence[str], value: object, place: str) -> Values:
    """Return values in which the one that a sequence of keys leads to is replaced."""
    first, *rest = keys
    if not rest:
        return {**values, first: value}
    inner = values.get(first, {})
    if not isinstance(inner, Mapping):
        raise RecipeError(f"there is no key {place}: {first} is {shown(inner)}")
    return {**values, first: _with_key(dict(inner), rest, value, place)}
