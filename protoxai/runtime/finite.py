"""Checks that tensors hold neither NaN nor infinity, with errors that say where they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

NAMED = 5


class NotFiniteError(ValueError):
    """Weights, images or what a model computes from them are NaN or infinite."""


def all_finite(tensor: Tensor) -> bool:
    """Return whether a tensor holds neither NaN nor infinity.

    Args:
        tensor: Tensor of any type; only floating-point and complex ones can hold them.
    """
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.is_meta:
        return True
    tensor = tensor.detach()
    # A sum reads the values once and makes no mask; it may overflow where the values are finite.
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def not_finite(weights: nn.Module | Mapping[str, Tensor]) -> str:
    """Return the names of the weights that are not finite, with the numbers of their values.

    Args:
        weights: A module, with its parameters and buffers, or tensors by name.

    Returns:
        Text, empty if all are finite.

    Example:
        >>> import torch
        >>> not_finite({"weight": torch.tensor([1.0, torch.nan]), "bias": torch.zeros(2)})
        'weight (1 of 2 values)'
    """
    if isinstance(weights, nn.Module):
        weights = dict([*weights.named_parameters(), *weights.named_buffers()])
    found = [
        f"{name} ({int((~tensor.detach().isfinite()).sum())} of {tensor.numel()} values)"
        for name, tensor in weights.items()
        if not all_finite(tensor)
    ]
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more


def check_finite_weights(
    weights: nn.Module | Mapping[str, Tensor],
    subject: str = "the model",
    fix: str = "load or train it again; if training made it so, lower the learning rates",
) -> None:
    """Raise an error if weights are not finite.

    Args:
        weights: A module, with its parameters and buffers, or tensors by name.
        subject: What has the weights, for the error.
        fix: What to do about it, for the error.

    Raises:
        NotFiniteError: If a value is NaN or infinite.
    """
    found = not_finite(weights)
    if found:
        raise NotFiniteError(f"{subject} has weights that are NaN or infinite: {found}; {fix}")


def check_images(images: Tensor, names: Iterable[object] | None = None) -> None:
    """Raise an error if an image of a batch is not finite.

    Args:
        images: Images (B, ...).
        names: Name of each image; None for its position in the batch.

    Raises:
        NotFiniteError: If a value is NaN or infinite.
    """
    check_each(images, "{image} has values that are NaN or infinite", names, "repair or remove it")


def check_each(
    maps: Tensor, problem: str, names: Iterable[object] | None = None, fix: str = ""
) -> None:
    """Raise an error if the maps of an image of a batch are not finite.

    Args:
        maps: Maps (B, ...).
        problem: What is wrong, with ``{image}`` in the place of the image's name.
        names: Name of each image; None for its position in the batch.
        fix: What to do about it.

    Raises:
        NotFiniteError: If a value is NaN or infinite.
    """
    if all_finite(maps):
        return
    wrong = ~maps.detach().isfinite().flatten(1)
    counts = wrong.sum(1).tolist()
    labels: Sequence[object] = range(len(maps)) if names is None else list(names)
    kind = "image {} of the batch" if names is None else "the image {}"
    position = next(i for i, count in enumerate(counts) if count)
    image = kind.format(labels[position])
    others = sum(count > 0 for count in counts) - 1
    further = f", and those of {others} more in its batch" if others else ""
    raise NotFiniteError(
        f"{problem.format(image=image)} ({counts[position]} of {wrong.shape[1]}{further}): {fix}"
    )
