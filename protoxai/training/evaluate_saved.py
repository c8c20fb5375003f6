"""The evaluation of a saved model on a data set, and its predictions as files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from protoxai.data import SegmentationDataset, create_dataset
from protoxai.evaluation.scores import Scores, evaluate
from protoxai.evaluation.sliding import window_logits
from protoxai.model.evaluation_settings import EvaluationSettings
from protoxai.model.loading import load_model
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.checks import short
from protoxai.runtime.distributed import own_device, process_group, rank
from protoxai.runtime.files import write_json
from protoxai.training.class_names import check_classes_fit
from protoxai.training.evaluation_report import (
    EvaluationReport,
    current_conditions,
    model_settings,
)
from protoxai.training.evaluation_settings import chosen_settings, stored_settings
from protoxai.training.feeding.loaders import evaluation_loader
from protoxai.training.recipes.command_line import parse_overrides
from protoxai.training.recipes.data_recipe import DataRecipe
from protoxai.training.recipes.reader import construct_data
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.yaml_files import RecipeError

# The settings of an evaluation that are keys of a recipe's data.
IN_RECIPE = ("evaluation_size", "antialias")
Overrides = Sequence[str] | Mapping[str, Any]


@dataclass(frozen=True)
class OpenedEvaluation:
    """A saved model and the data to evaluate it on.

    Attributes:
        model: Folder of the model, or its hub id.
        recipe: Data section of a recipe, with the settings of the evaluation.
        dataset: Validation split, without a transform.
        settings: Settings of the evaluation.
        sources: Where each setting is from: "given", "recipe", "model folder" or "default".
    """

    model: str | Path
    recipe: DataRecipe
    dataset: SegmentationDataset
    settings: EvaluationSettings
    sources: dict[str, str]


def open_evaluation(
    source: str | Path, overrides: Overrides = (), *, sliding: Mapping[str, Any] | None = None
) -> OpenedEvaluation:
    """Find a model, the validation data to evaluate it on, and the settings of the evaluation.

    Args:
        source: Run folder (whose recipe gives the defaults of the data and the settings), model
            folder or hub id (which may carry settings).
        overrides: Keys of a recipe's data, as command-line arguments
            (``["--data.root=/data/camvid"]``) or values (``{"data.root": "/data/camvid"}``).
        sliding: "window" and "stride", as far as they are given.

    Raises:
        ValueError: If a key, a setting or the data do not fit.
    """
    if not isinstance(overrides, Mapping):
        overrides = parse_overrides(DataRecipe, overrides, "data")
    run = Path(source)
    from_run = (run / "recipe.yaml").is_file()
    if from_run:
        recipe: DataRecipe = Recipe.load(run / "recipe.yaml", overrides).data
    else:
        _check_source(source, has_data="data.dataset" in overrides)
        recipe = construct_data(DataRecipe, overrides)
    dataset = _validation_split(recipe)
    given = {name: getattr(recipe, name) for name in IN_RECIPE if f"data.{name}" in overrides}
    stored = {name: getattr(recipe, name) for name in IN_RECIPE}
    settings, sources = chosen_settings(
        {**given, **(sliding or {})},
        stored if from_run else stored_settings(source),
        "recipe" if from_run else "model folder",
    )
    recipe = replace(recipe, **{name: getattr(settings, name) for name in IN_RECIPE})
    model = run / "model" if from_run else source
    return OpenedEvaluation(model, recipe, dataset, settings, sources)


def open_data(overrides: Mapping[str, Any]) -> tuple[DataRecipe, SegmentationDataset]:
    """Return the data that models of other libraries are evaluated on.

    Args:
        overrides: Keys of a recipe's data, as values (``{"data.dataset": "camvid"}``).

    Returns:
        The section of the recipe, and the validation split without a transform.

    Raises:
        ValueError: If a key or the data do not fit.
    """
    if "data.dataset" not in overrides:
        raise RecipeError(
            "a model of another library does not come with its data: name them by --data.dataset "
            "and the like, or give the run folder that it is compared with, too"
        )
    recipe = construct_data(DataRecipe, overrides)
    return recipe, _validation_split(recipe)


def _validation_split(recipe: DataRecipe) -> SegmentationDataset:
    """Return the validation split of a recipe's data, without a transform."""
    options = {**recipe.options, **({"root": recipe.root} if recipe.root else {})}
    return create_dataset(recipe.dataset, split=recipe.validation_split, **options)


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
) -> EvaluationReport:
    """Score a saved model on a data set's validation split.

    Args:
        source: Run folder (whose recipe gives the defaults of the data and the settings), model
            folder or hub id (which may carry settings).
        overrides: Keys of a recipe's data; see :func:`open_evaluation`.
        window: Height and width of a sliding window, for large images; None for what the model
            folder says, without which images are not divided.
        stride: Rows and columns from one window to the next; None for half the window.
        predictions: Folder for a PNG of each image in the form of the benchmark's server.
        output: JSON file for the scores, with each class by its name; null where a score is not
            defined, and the reason under "undefined".

    Returns:
        The scores, and the settings, the data and the computer that they are from.

    Raises:
        ValueError: If the model, a key or the data do not fit.
    """
    sliding = {"window": window, "stride": stride}
    sliding = {name: pair for name, pair in sliding.items() if pair is not None}
    if stride is not None and window is None:
        raise ValueError(f"stride is {stride}, but there is no window: give its size, too")
    if output is not None and output.is_dir():
        raise ValueError(f"{output} is a folder: give the path of a file")
    with process_group():
        opened = open_evaluation(source, overrides, sliding=sliding)
        dataset = opened.dataset
        model = load_model(opened.model).to(own_device())
        check_classes_fit(model, dataset)

        def write_predictions(predicted: Tensor, batch: Mapping[str, Any]) -> None:
            if predictions is None:
                return
            for labels, name in zip(predicted, batch["id"], strict=True):
                file = predictions / dataset.prediction_name(name)
                file.parent.mkdir(parents=True, exist_ok=True)
                dataset.encode_prediction(labels).save(file)

        scores = evaluate(
            model,
            evaluation_loader(dataset, opened.recipe, model),
            ignore_index=dataset.ignore_index,
            logits_of=window_logits(model, opened.settings),
            on_batch=write_predictions,
            group_of=dataset.group,
        )
        report = _report(scores, opened, model)
        if output is not None and rank() == 0:
            write_json(output, report.to_plain())
    return report


def _report(scores: Scores, opened: OpenedEvaluation, model: Segmenter) -> EvaluationReport:
    """Return scores with everything that they depend on."""
    others = model_settings(model, opened.dataset.ignore_index)
    recipe = opened.recipe
    return EvaluationReport(
        scores=scores,
        class_names=opened.dataset.class_names,
        data={
            "dataset": recipe.dataset,
            "options": recipe.options,
            "split": recipe.validation_split,
        },
        settings={
            **asdict(opened.settings),
            **{name: value for name, (value, _) in others.items()},
        },
        sources={**opened.sources, **{name: place for name, (_, place) in others.items()}},
        conditions=current_conditions(),
    )
