"""Checks of what metrics are given: maps, masks, arguments of functions, and their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from protoxai.runtime.checks import Range, function, shown, wholes_of
from protoxai.runtime.tensors import Kind, tensor

THRESHOLD = Range(least=0, below=1)
SEED = Range(least=0)
COUNT = Range(least=1, most=1_000_000)


def check_maps(attribution: Tensor) -> None:
    """Raise an error unless the attribution has shape (B, H, W)."""
    hint = "sum over the channels, give a single map as map[None], and resize it to the image"
    tensor("attribution", attribution, "batch height width", "real numbers", hint=hint)


def check_masked(attribution: Tensor, mask: Tensor) -> None:
    """Raise an error unless attribution and mask (bool) have the same shape (B, H, W)."""
    check_maps(attribution)
    tensor("mask", mask, "batch height width", "bool")
    if mask.shape != attribution.shape:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} and attribution {tuple(attribution.shape)}, "
            "expected the same (batch, height, width): resize the attribution to the image"
        )


def values_by_image(values: Tensor) -> Tensor:
    """Return values (B, ...) of images as rows (B, M), or raise an error if they are no such."""
    tensor("values", values, "... batch values", "real numbers", hint="give a row for each image")
    return values.flatten(1)


def check_images(images: Tensor) -> int:
    """Return the number of images, or raise an error unless they are (B, C, H, W)."""
    hint = "add the batch axis with images[None]"
    return len(tensor("images", images, "batch channels height width", hint=hint))


def check_arguments(arguments: Sequence[Tensor], images: int) -> None:
    """Raise an error unless arguments are a list of tensors with one entry for each image."""
    if isinstance(arguments, Tensor | str) or not isinstance(arguments, Sequence):
        raise TypeError(f"arguments are {shown(arguments)}, expected a list of tensors (B, ...)")
    for argument in arguments:
        if not isinstance(argument, Tensor) or not argument.dim() or len(argument) != images:
            given = tuple(argument.shape) if isinstance(argument, Tensor) else shown(argument)
            raise ValueError(
                f"arguments hold {given}, expected tensors with one entry for each of the {images} "
                "images"
            )


def check_original(original: Tensor | None, images: Tensor) -> None:
    """Raise an error unless original maps, if there are any, are (B, H, W) as the images are."""
    if original is not None:
        batch, _, height, width = images.shape
        sizes = {"batch": batch, "height": height, "width": width}
        tensor("original", original, "batch height width", "real numbers", sizes=sizes)


def seeds_of(seeds: Sequence[int] | None, images: int) -> Sequence[int]:
    """Return the seed of each image: the given ones, or the numbers from 0."""
    return range(images) if seeds is None else wholes_of("seeds", seeds, images, SEED)


def checked(
    name: str, call: Callable[..., Tensor], dims: str, kind: Kind = "real numbers"
) -> Callable[..., Tensor]:
    """Return a function whose results are checked.

    Args:
        name: Name of the argument with the function, for errors.
        call: Function of images and, perhaps, of further arguments.
        dims: Dimensions of its result, of which "images" are as many as those given.
        kind: Type of the result's values.
    """
    function(name, call)

    def with_check(images: Tensor, *arguments: Any) -> Tensor:
        result = call(images, *arguments)
        return tensor(f"the result of {name}", result, dims, kind, sizes={"images": len(images)})

    return with_check
