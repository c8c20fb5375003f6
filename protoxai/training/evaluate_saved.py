"""The evaluation of a saved model on a data set, and its predictions as files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from protoxai.data import SegmentationDataset, create_dataset
from protoxai.evaluation.scores import Scores, evaluate
from protoxai.evaluation.sliding import sliding_logits
from protoxai.model.loading import load_model
from protoxai.runtime.checks import short
from protoxai.runtime.distributed import own_device, process_group, rank
from protoxai.runtime.files import write_json
from protoxai.training.class_names import check_classes_fit
from protoxai.training.feeding.loaders import evaluation_loader
from protoxai.training.recipes.command_line import parse_overrides
from protoxai.training.recipes.data_recipe import DataRecipe
from protoxai.training.recipes.reader import construct_data
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.yaml_files import RecipeError

Overrides = Sequence[str] | Mapping[str, Any]


def open_evaluation(
    source: str | Path, overrides: Overrides = ()
) -> tuple[str | Path, DataRecipe, SegmentationDataset]:
    """Find a model and the validation data to evaluate it on.

    Args:
        source: Run folder (whose recipe gives the defaults of the data), model folder or hub id.
        overrides: Keys of a recipe's data, as command-line arguments
            (``["--data.root=/data/camvid"]``) or values (``{"data.root": "/data/camvid"}``).

    Returns:
        The model's folder or hub id, the recipe of the data, and the validation split without a
        transform.

    Raises:
        ValueError: If a key or the data do not fit.
    """
    if not isinstance(overrides, Mapping):
        overrides = parse_overrides(DataRecipe, overrides, "data")
    run = Path(source)
    if (run / "recipe.yaml").is_file():
        recipe: DataRecipe = Recipe.load(run / "recipe.yaml", overrides).data
        source = run / "model"
    else:
        _check_source(source, has_data="data.dataset" in overrides)
        recipe = construct_data(DataRecipe, overrides)
    options = {**recipe.options, **({"root": recipe.root} if recipe.root else {})}
    dataset = create_dataset(recipe.dataset, split=recipe.validation_split, **options)
    return source, recipe, dataset


def _check_source(source: str | Path, *, has_data: bool) -> None:
    """Check that there is a model before anything is said about its data."""
    if Path(source).is_dir():
        if not has_data:
            raise RecipeError(
                f"{source} is no run folder, since it has no recipe.yaml: give a run folder, or "
                "name the data of the model by --data.dataset and the like"
            )
    elif not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)):
        raise RecipeError(
            f"there is no folder {short(source)}: give the folder of a run or of a model, or a hub "
            "id owner/name"
        )
    elif not has_data:
        raise RecipeError(
            f"there is no folder {source}: give the folder of a run; if it is a model of the hub, "
            "name its data by --data.dataset and the like"
        )


def evaluate_model(
    source: str | Path,
    overrides: Overrides = (),
    *,
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    predictions: Path | None = None,
    output: Path | None = None,
) -> Scores:
    """Score a saved model on a data set's validation split.

    Args:
        source: Run folder (whose recipe gives the defaults of the data), model folder or hub id.
        overrides: Keys of a recipe's data; see :func:`open_evaluation`.
        window: Height and width of a sliding window, for large images.
        stride: Rows and columns from one window to the next; None for half the window.
        predictions: Folder for a PNG of each image in the form of the benchmark's server.
        output: JSON file for the scores, with each class by its name; null where a score is not
            defined, and the reason under "undefined".

    Raises:
        ValueError: If the model, a key or the data do not fit.
    """
    if stride is not None and window is None:
        raise ValueError(f"stride is {stride}, but there is no window: give its size, too")
    if output is not None and output.is_dir():
        raise ValueError(f"{output} is a folder: give the path of a file")
    with process_group():
        folder, recipe, dataset = open_evaluation(source, overrides)
        model = load_model(folder).to(own_device())
        check_classes_fit(model, dataset)

        def write_predictions(predicted: Tensor, batch: Mapping[str, Any]) -> None:
            if predictions is None:
                return
            for labels, name in zip(predicted, batch["id"], strict=True):
                file = predictions / dataset.prediction_name(name)
                file.parent.mkdir(parents=True, exist_ok=True)
                dataset.encode_prediction(labels).save(file)

        logits_of = None
        if window is not None:
            stride = stride or (max(1, window[0] // 2), max(1, window[1] // 2))
            logits_of = partial(sliding_logits, model, window=window, stride=stride)
        scores = evaluate(
            model,
            evaluation_loader(dataset, recipe, model),
            ignore_index=dataset.ignore_index,
            logits_of=logits_of,
            on_batch=write_predictions,
        )
        if output is not None and rank() == 0:
            write_json(output, _scores_by_name(scores, dataset.class_names))
    return scores


def _scores_by_name(scores: Scores, class_names: Sequence[str]) -> dict[str, Any]:
    """Return scores as plain values, with the reason for each that is not defined."""
    per_class = dict(zip(class_names, scores.per_class, strict=True))
    undefined: dict[str, Any] = {
        name: f"{scores.caution} (n = 0)"
        for name in ("mean_iou", "pixel_accuracy")
        if math.isnan(getattr(scores, name))
    }
    undefined["per_class"] = {
        name: "no pixel is labelled or predicted as the class (n = 0)"
        for name, value in per_class.items()
        if math.isnan(value)
    }
    return {
        **asdict(scores),
        "per_class": per_class,
        "caution": scores.caution,
        "undefined": undefined,
    }
