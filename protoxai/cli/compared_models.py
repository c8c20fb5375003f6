"""The models that ``protoxai compare`` is given, and the data that they are compared on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from protoxai.data import SegmentationDataset


@dataclass(frozen=True)
class ComparedModels:
    """Models to compare, and their data.

    Attributes:
        models: Models of the library, and others, in the order in which they are given.
        dataset: Validation split.
        view: The same, resized and normalised; models that require another normalisation convert
            the images themselves.
    """

    models: list[nn.Module]
    dataset: SegmentationDataset
    view: SegmentationDataset


def open_models(sources: Sequence[str], keys: Mapping[str, Any]) -> ComparedModels:
    """Load models onto this process's device, and their data, and check that they fit together.

    Args:
        sources: Run folders, model folders and hub ids, of which the first gives the data; and
            models of other libraries, see :func:`~protoxai.comparison.foreign.load_foreign`.
        keys: Keys of a recipe's data that were given.

    Raises:
        ValueError: If a model or the data cannot be loaded, or they do not fit.
    """
    from protoxai.comparison.foreign import check_foreign, is_foreign, load_foreign
    from protoxai.comparison.normalisation import normalisation_of, renormalise
    from protoxai.model.loading import load_model
    from protoxai.model.segmenter import Segmenter
    from protoxai.runtime.distributed import own_device
    from protoxai.training.class_names import check_classes_fit
    from protoxai.training.evaluate_saved import open_data, open_evaluation
    from protoxai.training.feeding.loaders import evaluation_view

    opened = [None if is_foreign(source) else open_evaluation(source, keys) for source in sources]
    first = next((each for each in opened if each is not None), None)
    recipe, dataset = open_data(keys) if first is None else (first.recipe, first.dataset)
    loaded = (
        load_foreign(source, dataset.num_classes) if own is None else load_model(own.model)
        for source, own in zip(sources, opened, strict=True)
    )
    models = [model.to(own_device()) for model in loaded]
    ours = [model for model in models if isinstance(model, Segmenter)]
    for segmenter in ours:
        check_classes_fit(segmenter, dataset)
    view = evaluation_view(dataset, recipe, ours[0] if ours else None)
    given = normalisation_of(ours[0] if ours else models[0])
    for source, own, model in zip(sources, opened, models, strict=True):
        renormalise(model, given)
        if own is None and len(view):
            check_foreign(model, view[0]["image"], dataset.num_classes, source)
    return ComparedModels(models, dataset, view)
