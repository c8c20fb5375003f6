"""The classes of models, data sets and runs: equal by number, name and order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from protoxai.data import SegmentationDataset
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.checks import shown
from protoxai.training.feeding.loaders import Splits
from protoxai.training.recipes.yaml_files import RecipeError, RunError


def check_classes_fit(model: Segmenter, dataset: SegmentationDataset) -> None:
    """Check that a model has the classes of a data set, in the same order.

    A model without names is compared by their number alone.

    Raises:
        RecipeError: If it has other ones.
    """
    kind = type(dataset).__name__
    if dataset.num_classes != model.num_classes:
        raise RecipeError(
            f"{kind} has {dataset.num_classes} classes, the model {model.num_classes}: evaluate it "
            "on data of its own classes"
        )
    difference = model.class_names and find_difference(
        "the model", model.class_names, kind, dataset.class_names
    )
    if difference:
        raise RecipeError(
            f"{difference}: evaluate the model on data of its own classes, in their order; if "
            "other names stand for the same classes, set model.class_names to those of the data "
            "and save the model again"
        )


def check_splits_fit(splits: Splits) -> None:
    """Check that all splits of a run have the same classes, in the same order.

    Raises:
        RecipeError: If they have not.
    """
    names = splits.train.class_names
    for split in ("projection", "validation"):
        others = getattr(splits, split).class_names
        difference = find_difference("the training split", names, f"the {split} split", others)
        if difference:
            raise RecipeError(f"{difference}: give splits of the same classes, in one order")


def check_same_classes(state: Mapping[str, Any], dataset: SegmentationDataset) -> None:
    """Check that a data set has the classes that a run began with, in the same order.

    Args:
        state: Content of a checkpoint; those of 0.1.0 hold no names.
        dataset: Data set to continue on.

    Raises:
        RunError: If it has other ones.
    """
    names = state.get("class_names") or dataset.class_names
    difference = find_difference("the run", names, type(dataset).__name__, dataset.class_names)
    if difference:
        raise RunError(
            f"{difference}: resume on the data that the run began with, or choose another output "
            "folder"
        )


def find_difference(
    one: str, names: Sequence[str], other: str, others: Sequence[str]
) -> str | None:
    """Return how two lists of class names differ, in one line, or None.

    Args:
        one: What the first list belongs to.
        names: The first list.
        other: What the second list belongs to.
        others: The second list.

    Example:
        >>> find_difference("the model", ["sky", "road"], "the data", ["road", "sky"])
        "the model and the data have the classes in another order (class 0 is 'sky' and 'road')"
    """
    if tuple(names) == tuple(others):
        return None
    pairs = enumerate(zip_longest(names, others))
    number, (first, second) = next((n, pair) for n, pair in pairs if pair[0] != pair[1])
    same = sorted(names) == sorted(others)
    differ = "have the classes in another order" if same else "have other classes"
    return f"{one} and {other} {differ} (class {number} is {shown(first)} and {shown(second)})"
