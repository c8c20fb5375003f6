"""Lets the reference show what it cannot read from the source alone."""

import importlib
import inspect
import re
from typing import Any

import griffe

QUALIFIERS = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])")
HEADING = re.compile(r"^(\s*)Example:$", re.MULTILINE)


class ExampleSections(griffe.Extension):
    """Reads every `Example:` of a docstring as `Examples:`, which is shown as a program."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section before the docstring is parsed."""
        if obj.docstring:
            obj.docstring.value = HEADING.sub(r"\1Examples:", obj.docstring.value)


class LazyPackages(griffe.Extension):
    """Shows the names that a package loads lazily, which its stub lists."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Export the names of every package that uses `protoxai._lazy.attach`."""
        for module in _modules(pkg):
            if module.imports.get("attach") == "protoxai._lazy.attach":
                module.exports = sorted(set(module.imports) - {"attach"})


class ExplicitOptions(griffe.Extension):
    """Shows each option of a constructor whose source has `**options` only."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Take signature and documentation from the class itself."""
        for module in _modules(pkg):
            for cls in module.classes.values():
                if not cls.is_alias and "@explicit_options" in _decorators(cls):
                    _expand(cls)


def _modules(module: griffe.Module) -> list[griffe.Module]:
    children = [child for child in module.modules.values() if not child.is_alias]
    return [module, *(part for child in children for part in _modules(child))]


def _decorators(cls: griffe.Class) -> str:
    return " ".join(f"@{decorator.value}" for decorator in cls.decorators)


def _expand(cls: griffe.Class) -> None:
    model = getattr(importlib.import_module(cls.module.path), cls.name)
    if cls.docstring:
        cls.docstring.value = HEADING.sub(r"\1Examples:", inspect.getdoc(model) or "")
    init = cls.members["__init__"]
    explicit = {parameter.name: parameter for parameter in init.parameters}
    init.parameters = griffe.Parameters(
        explicit["self"],
        *(
            explicit.get(name) or _parameter(parameter)
            for name, parameter in inspect.signature(model).parameters.items()
        ),
    )


def _parameter(parameter: inspect.Parameter) -> griffe.Parameter:
    return griffe.Parameter(
        parameter.name,
        annotation=QUALIFIERS.sub("", inspect.formatannotation(parameter.annotation)),
        kind=griffe.ParameterKind.keyword_only,
        default=repr(parameter.default),
    )
