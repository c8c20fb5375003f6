"""Saved models, wherever they are: in a run folder, a model folder or on the hub."""

from __future__ import annotations

from pathlib import Path

from protoxai.model.loading import load_model
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.checks import short
from protoxai.runtime.distributed import own_device
from protoxai.training.evaluation_settings import recipe_settings
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.yaml_files import RecipeError

RECIPE = "recipe.yaml"


def open_model(source: str | Path) -> Segmenter:
    """Load a model, with the settings of its evaluation, onto this process's device.

    Args:
        source: Run folder, model folder, or hub id ``owner/name``.

    Raises:
        ValueError: If there is no model, or it is damaged.
    """
    run = run_of(source)
    if run is None:
        return load_model(source).to(own_device())
    if not (run / "model").is_dir():
        raise RecipeError(f"{run} holds no model yet: finish the run with protoxai train --resume")
    model = load_model(run / "model")
    if model.evaluation_settings is None:
        # Folders of earlier versions lack them. The place of the data does not matter here.
        model.evaluation_settings = recipe_settings(
            Recipe.load(run / RECIPE, {"data.root": None}).data
        )
    return model.to(own_device())


def open_prototype_model(source: str | Path) -> ScaleProtoSeg:
    """Load a model as :func:`open_model` does, and check that it has prototypes.

    Args:
        source: Run folder, model folder, or hub id ``owner/name``.

    Raises:
        ValueError: If there is no model, it is damaged, or it has no prototypes.
    """
    model = open_model(source)
    if not isinstance(model, ScaleProtoSeg):
        raise RecipeError(
            f"{short(source)} holds a {type(model).__name__}, which has no prototypes: give a "
            "ScaleProtoSeg or a ProtoSeg"
        )
    return model


def run_of(source: str | Path) -> Path | None:
    """Return the run folder that a source is; None if it is none."""
    folder = Path(source)
    return folder if (folder / RECIPE).is_file() else None
