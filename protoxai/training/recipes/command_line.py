"""The keys of a recipe as options of the command line."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from protoxai.runtime.checks import did_you_mean, short, shown
from protoxai.runtime.extras import require
from protoxai.training.recipes.construct import field_types, not_as_expected
from protoxai.training.recipes.renamed import RENAMED
from protoxai.training.recipes.yaml_files import RecipeError

KEY_CHANGE = "--key_change"
OPEN_KEYS = ("--stages.", "--data.options.")
"""Beginnings of keys that the parser cannot know: those of stages and of a data set's options."""

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace


def add_recipe_keys(parser: ArgumentParser, recipe: type, section: str = "") -> None:
    """Add an option for each key of a recipe, or of one of its sections.

    Only the options that are given appear in what the parser returns.

    Args:
        parser: The parser of a command.
        recipe: The dataclass of the recipe or of the section.
        section: Key of the section; empty for the recipe itself.
    """
    parser.add_argument(
        KEY_CHANGE, action="append", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    _add_section(parser, recipe, section)


def given_keys(recipe: type, options: Namespace, section: str = "") -> dict[str, Any]:
    """Return the keys of a recipe that were given, as values by dotted keys.

    Args:
        recipe: The dataclass of the recipe or of the section.
        options: The parsed options of a command.
        section: Key of the section; empty for the recipe itself.
    """
    given = {key: options[key] for key, _ in _keys(recipe, section) if key in options}
    for change in options.get(KEY_CHANGE.removeprefix("--"), []):
        key, _, text = change.partition("=")
        if section and not key.startswith(f"{section}."):
            raise RecipeError(
                f"there is no argument --{short(key)}: expected keys of {section} only, such as "
                "--data.root=FOLDER"
            )
        given[key] = _value_of(key, text)
    return given


def join_key_changes(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which changes of stages, and of a data set's options, are one option.

    Their names are those of a recipe, which the parser cannot know.

    Args:
        arguments: Arguments, some perhaps as ``--stages.NAME.KEY=VALUE``.

    Example:
        >>> join_key_changes(["--seed=3", "--stages.joint.steps", "10"])
        ['--seed=3', '--key_change=stages.joint.steps=10']
    """
    joined: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument.startswith(OPEN_KEYS):
            change = argument.removeprefix("--")
            if "=" not in change:
                change = f"{change}={next(rest, '')}"
            joined.append(f"{KEY_CHANGE}={change}")
        else:
            joined.append(argument)
    return joined


def parse_overrides(recipe: type, arguments: Sequence[str], section: str = "") -> dict[str, Any]:
    """Return the keys of a recipe that command-line arguments give, as values by dotted keys.

    Args:
        recipe: The dataclass of the recipe or of the section.
        arguments: Arguments such as ``--data.root=/data/camvid``.
        section: Key of the section; empty for the recipe itself.

    Raises:
        RecipeError: If an argument is unknown or its value does not fit.
    """
    if isinstance(arguments, str):
        raise RecipeError(
            f"the arguments are the text {shown(arguments)}, expected a list: [{shown(arguments)}]"
        )
    is_list = isinstance(arguments, Iterable)
    if not is_list or not all(isinstance(argument, str) for argument in arguments):
        raise RecipeError(
            f"the keys are {shown(arguments)}, expected a list such as ['--seed=3'] or a mapping "
            "such as {'seed': 3}"
        )
    require("train", "jsonargparse", "yaml")
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False, add_help=False)
    add_recipe_keys(parser, recipe, section)
    try:
        options = parser.parse_args(join_key_changes(arguments))
    except ArgumentError as error:
        keys = dict(_keys(recipe, section))
        raise RecipeError(
            explain_argument(str(error), [f"--{key}" for key in keys], keys)
        ) from None
    return given_keys(recipe, options, section)


def keys_of(recipe: type, section: str = "") -> dict[str, Any]:
    """Return the type of each key of a recipe, or of one of its sections, by its dotted name."""
    return dict(_keys(recipe, section))


def explain_argument(message: str, options: Iterable[str], keys: Mapping[str, Any]) -> str:
    """Return one line about what does not fit on the command line.

    Args:
        message: The parser's message.
        options: The options that would have been accepted, such as ``--data.root``.
        keys: Type of each key of a recipe among them.
    """
    message = message.replace(f"{KEY_CHANGE}=", "--")
    unknown = re.search(r"unrecognized arguments: (\S+)", message)
    if unknown is not None:
        return _explain_unknown(unknown[1], list(options), bool(keys))
    wrong = re.search(r'key "(?:\w+\.)??([\w.]+)".*?:\s+(.*)Got value: (.*)', message, re.DOTALL)
    if wrong is not None and wrong[1] in keys:
        given = None if wrong[3] == "None" else wrong[3]
        return not_as_expected(f"--{wrong[1]}", given, keys[wrong[1]])
    kind = wrong and re.match(r"Expected a <class '(int|float)'>", wrong[2])
    if wrong is not None and kind:
        return not_as_expected(f"--{wrong[1]}", wrong[3], {"int": int, "float": float}[kind[1]])
    return " ".join(message.split())


def _add_section(parser: ArgumentParser, recipe: type, section: str) -> None:
    title = f"keys of {section}" if section else "keys of the recipe"
    group = parser.add_argument_group(title, str(recipe.__doc__).partition("\n")[0])
    docs, hints = _attribute_docs(recipe), get_type_hints(recipe)
    sections: list[tuple[Any, str]] = []
    for field in dataclasses.fields(recipe):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            sections.append((hint, field.name))
            continue
        if any(map(dataclasses.is_dataclass, get_args(hint))):
            hint = list[dict[str, Any]]  # checked with the rest of the recipe
        group.add_argument(
            f"--{section}.{field.name}" if section else f"--{field.name}",
            type=hint,
            default=argparse.SUPPRESS,
            help=docs[field.name] + _default_text(field),
        )
    for inner, name in sections:
        _add_section(parser, inner, name)


def _value_of(key: str, text: str) -> Any:
    import yaml

    from protoxai.training.recipes.limited_yaml import load_text

    try:
        return load_text(text)
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"--{short(key)} is {shown(text)}, which is no YAML: {reason}") from None


def _explain_unknown(given: str, options: list[str], has_keys: bool) -> str:
    name = given.partition("=")[0]
    head, dot, last = name.removeprefix("--").rpartition(".")
    if RENAMED.get(last) and f"--{head}{dot}{RENAMED[last]}" in options:
        return f"there is no argument {name}: it was renamed to --{head}{dot}{RENAMED[last]}"
    # Compared without their dashes, which would make short options alike.
    close = did_you_mean(name.removeprefix("--"), [option.removeprefix("--") for option in options])
    hint = f"there is no argument {given}" + re.sub(r"'([\w.]+)'", r"'--\1'", close)
    if has_keys:
        return (
            f"{hint}; expected keys of the recipe, such as --data.root=FOLDER (protoxai train "
            "--help lists all)"
        )
    return f"{hint}; expected some of {', '.join(options)}" if options else hint


def _keys(recipe: Any, section: str = "") -> Iterator[tuple[str, Any]]:
    for name, hint in field_types(recipe).items():
        key = f"{section}.{name}" if section else name
        if dataclasses.is_dataclass(hint):
            yield from _keys(hint, key)
        else:
            yield key, hint


def _attribute_docs(recipe: type) -> dict[str, str]:
    """Return the documentation of each field, from the "Attributes:" of the docstring."""
    attributes = inspect.cleandoc(str(recipe.__doc__)).partition("Attributes:\n")[2]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", attributes, re.MULTILINE)
    return {name: _plain_text(" ".join(text.split())) for name, text in entries}


def _plain_text(text: str) -> str:
    """Return reStructuredText without its markup."""
    text = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"\1", text)
    return text.replace("``", "").replace("%", "%%")


def _default_text(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = field.default
    else:
        return " (required)"
    if value in ("", {}):
        return ""
    text = {None: "null", True: "true", False: "false"}.get(value) if _is_word(value) else None
    return f" (default: {text or (list(value) if isinstance(value, tuple) else value)})"


def _is_word(value: object) -> bool:
    return value is None or isinstance(value, bool)
