"""The settings of an evaluation: those of a recipe, of a model folder, and those given for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from protoxai.folders import ModelFolder
from protoxai.model.evaluation_settings import DOCUMENT, EvaluationSettings
from protoxai.training.recipes.data_recipe import DataRecipe

SETTINGS = tuple(field.name for field in fields(EvaluationSettings))


def recipe_settings(recipe: DataRecipe) -> EvaluationSettings:
    """Return the settings with which a run evaluates its model.

    Args:
        recipe: The data section of the run's recipe.
    """
    return EvaluationSettings(evaluation_size=recipe.evaluation_size, antialias=recipe.antialias)


def stored_settings(source: str | Path) -> dict[str, Any]:
    """Return the settings that a model folder carries; empty if it has none.

    Args:
        source: Model folder or hub id.

    Raises:
        FileError: If the folder or its document is missing or damaged, or has settings that this
            version does not know.
    """
    folder = ModelFolder.open(source)
    content = folder.document(DOCUMENT)
    if content is None:
        return {}
    try:
        settings = EvaluationSettings.from_config(content)
    except (TypeError, ValueError) as error:
        raise folder.damaged(DOCUMENT, str(error)) from None
    return {name: value for name, value in asdict(settings).items() if name in content}


def chosen_settings(
    given: Mapping[str, Any], stored: Mapping[str, Any], place: str
) -> tuple[EvaluationSettings, dict[str, str]]:
    """Return the settings of an evaluation, and where each of them is from.

    Args:
        given: Settings that were given for this evaluation.
        stored: Settings that are kept with the model. A given window is used without a stored
            stride.
        place: Where those are kept, such as "recipe".
    """
    kept = {name: value for name, value in stored.items() if name not in given}
    if "window" in given:
        kept.pop("stride", None)
    sources = dict.fromkeys(kept, place) | dict.fromkeys(given, "given")
    settings = EvaluationSettings(**{**kept, **given})
    return settings, {name: sources.get(name, "default") for name in SETTINGS}
