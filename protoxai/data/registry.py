"""Data sets by name, for recipes and the command line."""

import difflib
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from protoxai.data.base import SegmentationDataset

D = TypeVar("D", bound=SegmentationDataset)

DATASETS: dict[str, type[SegmentationDataset]] = {}


def register(name: str) -> Callable[[type[D]], type[D]]:
    """Class decorator: make a data set known under a name.

    Args:
        name: what recipes call it.

    Raises:
        ValueError: if another class has that name already.

    Example:
        >>> @register("my-scans")
        ... class MyScans(SegmentationDataset): ...
        >>> DATASETS.pop("my-scans").__name__
        'MyScans'
    """

    def add(dataset_class: type[D]) -> type[D]:
        known = DATASETS.get(name)
        if known is not None and known.__qualname__ != dataset_class.__qualname__:
            raise ValueError(
                f"the data set name {name!r} is taken by {known.__qualname__}: choose another name "
                f"for {dataset_class.__qualname__}"
            )
        DATASETS[name] = dataset_class
        return dataset_class

    return add


def create_dataset(name: str, **options: Any) -> SegmentationDataset:
    """Make a data set from its registered name.

    Args:
        name: a key of ``DATASETS``, e.g. ``"shapes"``.
        options: passed to the class.

    Raises:
        ValueError: if no data set has that name.
        TypeError: if an option is unknown, or a needed one is missing.

    Example:
        >>> create_dataset("shapes", size=64, length=10)
        Shapes(10 samples, 9 classes)
    """
    if name not in DATASETS:
        raise ValueError(
            f"there is no data set {name!r}{_suggestion(name, list(DATASETS))}; "
            f"known: {', '.join(sorted(DATASETS))}. Add your own with @register"
        )
    dataset_class = DATASETS[name]
    signature = inspect.signature(dataset_class)
    try:
        signature.bind(**options)
    except TypeError as error:
        close = [_suggestion(key, list(signature.parameters)) for key in options]
        raise TypeError(
            f"data set {name!r}: {error}{''.join(close)}; its options: "
            f"{', '.join(signature.parameters)}"
        ) from None
    return dataset_class(**options)


def _suggestion(word: str, known: list[str]) -> str:
    if word in known:
        return ""
    close = difflib.get_close_matches(word.lower(), known, n=2)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
