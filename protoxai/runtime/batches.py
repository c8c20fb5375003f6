"""Checks of labelled images, as loaders and data sets yield them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from torch import Tensor

from protoxai.runtime.checks import shown
from protoxai.runtime.tensors import tensor

Items = TypeVar("Items", bound=Iterable[Any])


def check_iterable(name: str, items: Items) -> Items:
    """Return a loader or a list, or raise ``TypeError`` if it is nothing of the kind."""
    # Iteration needs no more of a data set than its items.
    iterable = isinstance(items, Iterable) or hasattr(items, "__getitem__")
    if not iterable or isinstance(items, str | Mapping | Tensor):
        raise TypeError(
            f"{name} is {shown(items)} ({type(items).__name__}), expected a loader or a list"
        )
    return items


def labelled_images(name: str, batch: Mapping[str, Any], dims: str = "batch") -> tuple[Any, Any]:
    """Return the images and the labels of a mapping, checked.

    Args:
        name: Name of the argument that it is from, for the error.
        batch: Mapping with "image" (B, 3, H, W) and "labels" (B, H', W').
        dims: Dimensions before the channels and the rows; nothing for a single sample.

    Raises:
        TypeError: If it is no such mapping, or its entries are not tensors of the right type.
        ValueError: If the shapes do not fit.
    """
    if not isinstance(batch, Mapping):
        raise TypeError(
            f"{name}: got {shown(batch)} ({type(batch).__name__}), expected mappings with "
            '"image" and "labels"'
        )
    missing = [f'"{key}"' for key in ("image", "labels") if key not in batch]
    if missing:
        raise ValueError(
            f"{name}: got a mapping with {sorted(batch)}, but without {' and '.join(missing)}"
        )
    images, labels = batch["image"], batch["labels"]
    check_labelled(name, images, labels, dims)
    return images, labels


def names_of(name: str, batch: Mapping[str, Any], count: int) -> list[object] | None:
    """Return the names of the images of a batch, or None if it has none.

    Args:
        name: Name of the argument that the batch is from, for the error.
        batch: Mapping with, perhaps, "id".
        count: Number of images in the batch.

    Raises:
        TypeError: If "id" is no list.
        ValueError: If there is not one name per image.
    """
    names = batch.get("id")
    if names is None:
        return None
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f'{name}: "id" is {shown(names)}, expected a list with one name per image')
    found = list(names)
    if len(found) != count:
        raise ValueError(
            f'{name}: "id" holds {len(found)} names for {count} images, expected one per image'
        )
    return found


def check_labelled(name: str, images: Tensor, labels: Tensor, dims: str = "batch") -> None:
    """Raise an error unless images are floating point (B, C, H, W), and labels integers (B, h, w).

    Args:
        name: Name of the argument that they are from, for the error.
        images: Images (B, C, H, W).
        labels: Labels (B, h, w).
        dims: Dimensions before the channels and the rows; nothing for a single sample.
    """
    hint = "normalise images as the model requires"
    tensor(f"{name}: image", images, f"{dims} channels height width", hint=hint)
    sizes = {"batch": len(images)} if dims else {}
    tensor(f"{name}: labels", labels, f"{dims} height width", "integers", sizes=sizes)
