"""The evaluation of a saved model on a data set, and its predictions as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from protoxai.data import SegmentationDataset, create_dataset
from protoxai.evaluation.scores import Scores, evaluate
from protoxai.evaluation.sliding import sliding_logits
from protoxai.model.loading import load_model
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.distributed import own_device, process_group, rank
from protoxai.training.feeding.loaders import whole_images
from protoxai.training.recipes.recipe import DataRecipe, Recipe
from protoxai.training.recipes.yaml_files import RecipeError, read_data_keys


def open_evaluation(
    source: str | Path, overrides: Sequence[str] = ()
) -> tuple[str | Path, DataRecipe, SegmentationDataset]:
    """Find a model and the validation data it is to be seen on.

    Args:
        source: a run folder (its recipe's data are the defaults), a model folder or a hub id.
        overrides: keys of a recipe's data, such as ``--data.root=/data/camvid``.

    Returns:
        The model's folder or hub id, the recipe of the data, and the validation split, raw.

    Raises:
        ValueError: if a key or the data do not fit.
    """
    run = Path(source)
    defaults: dict[str, Any] = {"crop": (1, 1)}
    if (run / "recipe.yaml").is_file():
        data = Recipe.load(run / "recipe.yaml", [a for a in overrides if "data.root" in a]).data
        defaults = {field.name: getattr(data, field.name) for field in fields(DataRecipe)}
        source = run / "model"
    recipe = DataRecipe(**read_data_keys(DataRecipe, overrides, defaults))
    options = {**recipe.options, **({"root": recipe.root} if recipe.root else {})}
    dataset = create_dataset(recipe.dataset, split=recipe.validation_split, **options)
    return source, recipe, dataset


def check_classes_fit(model: Segmenter, dataset: SegmentationDataset) -> None:
    """Raise ``RecipeError`` unless the model has the data set's number of classes."""
    if dataset.num_classes != model.num_classes:
        raise RecipeError(
            f"{type(dataset).__name__} has {dataset.num_classes} classes, the model "
            f"{model.num_classes}: evaluate it on data of its own classes"
        )


def evaluate_model(
    source: str | Path,
    overrides: Sequence[str] = (),
    *,
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    predictions: Path | None = None,
    output: Path | None = None,
) -> Scores:
    """Score a saved model on a data set's validation split.

    Args:
        source: a run folder (its recipe's data are the defaults), a model folder or a hub id.
        overrides: keys of a recipe's data, such as ``--data.root=/data/camvid``.
        window: height and width of a sliding window for large images.
        stride: of the window; None: half of it.
        predictions: folder for a PNG of each image in the form of the benchmark's server.
        output: JSON file for the scores, with each class by its name.

    Raises:
        ValueError: if the model, a key or the data do not fit.
    """
    with process_group():
        folder, recipe, dataset = open_evaluation(source, overrides)
        model = load_model(folder).to(own_device())
        check_classes_fit(model, dataset)

        def write(predicted: Tensor, batch: Mapping[str, Any]) -> None:
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
        loader = whole_images(dataset, recipe, model)
        scores = evaluate(
            model, loader, ignore_index=dataset.ignore_index, logits_of=logits_of, on_batch=write
        )
        if output is not None and rank() == 0:
            per_class = dict(zip(dataset.class_names, scores.per_class, strict=True))
            content = {**asdict(scores), "per_class": per_class}
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(content, indent=1) + "\n")
        return scores
