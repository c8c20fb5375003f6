"""Data sets by name, for recipes and the command line."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from protoxai.data.base import SegmentationDataset
from protoxai.runtime.checks import did_you_mean, shown
from protoxai.runtime.plugins import is_redefinition

D = TypeVar("D", bound=SegmentationDataset)

DATASETS: dict[str, type[SegmentationDataset]] = {}
"""All registered data sets, by names in lower case with underscores."""


def register(name: str) -> Callable[[type[D]], type[D]]:
    """Make a data set available by name, in recipes and on the command line.

    The built-in data sets are registered in the same way. A class of your own is known as soon as
    its module is imported; recipes name that module under ``plugins``, commands by ``--plugin``.

    Args:
        name: Name of the data set. Upper and lower case are the same, and so are hyphens and
            underscores.

    Returns:
        A decorator of a subclass of :class:`SegmentationDataset`.

    Raises:
        TypeError: If the class is not a :class:`SegmentationDataset`.
        ValueError: If the name belongs to another class.

    Example:
        >>> @register("my-scans")
        ... class MyScans(SegmentationDataset): ...
        >>> DATASETS.pop("my_scans").__name__
        'MyScans'
    """
    key = _key(name)

    def add(dataset_class: type[D]) -> type[D]:
        if not (isinstance(dataset_class, type) and issubclass(dataset_class, SegmentationDataset)):
            raise TypeError(
                f"{shown(dataset_class)} cannot be registered as {name!r}: expected a subclass of "
                "SegmentationDataset"
            )
        known = DATASETS.get(key)
        if known is not None and not is_redefinition(known, dataset_class):
            raise ValueError(
                f"the data set name {name!r} is taken by {known.__qualname__}: choose another name "
                f"for {dataset_class.__qualname__}"
            )
        DATASETS[key] = dataset_class
        return dataset_class

    return add


def create_dataset(name: str, **options: Any) -> SegmentationDataset:
    """Create a data set from its registered name.

    Args:
        name: Name of a registered data set, e.g. ``"shapes"``.
        **options: Arguments of its class.

    Raises:
        ValueError: If no data set has that name.
        TypeError: If an option is unknown, or a required one is missing.

    Example:
        >>> create_dataset("shapes", size=64, length=10)
        Shapes(10 samples, 9 classes)
    """
    key = _key(name)
    if key not in DATASETS:
        raise ValueError(
            f"there is no data set {name!r}{did_you_mean(key, DATASETS)}; "
            f"known: {', '.join(sorted(DATASETS))}. Register your own with "
            "@protoxai.data.register, and import its module: plugins in a recipe, --plugin on the "
            "command line"
        )
    dataset_class = DATASETS[key]
    parameters = inspect.signature(dataset_class).parameters
    try:
        inspect.signature(dataset_class).bind(**options)
    except TypeError as error:
        close = "".join(did_you_mean(option, parameters) for option in options)
        raise TypeError(
            f"data set {name!r}: {error}{close}; its options: {', '.join(parameters)}"
        ) from None
    return dataset_class(**options)


def _key(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name of a data set is {shown(name)}, expected a string")
    return name.lower().replace("-", "_")
