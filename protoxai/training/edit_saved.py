"""The correction of a saved model: without some prototypes, refitted, scored, and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from protoxai.evaluation.scores import Scores, evaluate
from protoxai.evaluation.sliding import window_logits
from protoxai.explanations.editing import Edit, edit_by_scores
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.projection.refit import OFF_CLASS_L1, RefitRecord, refit_last_layer
from protoxai.runtime.distributed import rank
from protoxai.training.class_names import check_classes_fit
from protoxai.training.evaluate_saved import OpenedEvaluation, open_evaluation
from protoxai.training.feeding.loaders import (
    Splits,
    class_weights,
    evaluation_loader,
    projection_loader,
)
from protoxai.training.open_model import RECIPE, open_prototype_model, run_of
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.yaml_files import RecipeError

DOCUMENT = "edit.json"
"""Document of a model folder that says how the model was edited."""


def edit_saved(
    source: str | Path,
    without: str | Path | Sequence[int],
    output: Path,
    overrides: Mapping[str, Any],
    *,
    refit: bool = False,
    image: Path | None = None,
) -> Edit:
    """Write a saved model without some of its prototypes to a new folder.

    Args:
        source: Run folder (whose recipe gives the defaults of the data and the losses), model
            folder or hub id.
        without: File of marks, or the indices of the prototypes to remove.
        output: Folder for the new model, which does not exist yet or is empty.
        overrides: Keys of a recipe's data, as values (``{"data.root": "/data/camvid"}``).
        refit: Whether to refit the last layer on the images that prototypes are projected on, with
            the class weights and the off-class L1 of the run.
        image: Image to explain before and after; None for none.

    Returns:
        The edit; the new model folder notes it in ``edit.json``.

    Raises:
        ValueError: If the model, the marks, a key or the data do not fit, or the output folder
            holds something.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{output} exists already: give a new folder for the edited model")
    opened = open_evaluation(source, overrides)
    model = open_prototype_model(source)
    check_classes_fit(model, opened.dataset)
    result = edit_by_scores(
        model,
        without,
        partial(_scores, opened),
        refit=partial(_refit, opened, source) if refit else None,
        image=image,
        class_names=opened.dataset.class_names,
    )
    if rank() == 0:
        result.model.save_pretrained(output, documents={DOCUMENT: result.to_plain()})
    return result


def _scores(opened: OpenedEvaluation, model: ScaleProtoSeg) -> Scores:
    dataset = opened.dataset
    return evaluate(
        model,
        evaluation_loader(dataset, opened.recipe, model),
        ignore_index=dataset.ignore_index,
        logits_of=window_logits(model, opened.settings),
        group_of=dataset.group,
    )


def _refit(opened: OpenedEvaluation, source: str | Path, model: ScaleProtoSeg) -> RefitRecord:
    recipe = opened.recipe
    splits = Splits.of(recipe)
    return refit_last_layer(
        model,
        projection_loader(splits.projection, recipe, model),
        off_class_l1=_off_class_l1(source),
        class_weight=class_weights(splits.train, recipe),
        ignore_index=splits.train.ignore_index,
    )


def _off_class_l1(source: str | Path) -> float:
    """Return the weight of the L1 term with which the run trained its last layer."""
    run = run_of(source)
    if run is None:
        return OFF_CLASS_L1
    try:
        stages = Recipe.load(run / RECIPE, {"data.root": None}).stages
    except RecipeError:
        return OFF_CLASS_L1
    weights = [
        stage.losses.get("off_class_l1", 0.0)
        for stage in stages
        if "last_layer" in stage.learning_rates
    ]
    return weights[-1] if weights and weights[-1] > 0 else OFF_CLASS_L1
