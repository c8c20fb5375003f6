"""Models of other libraries, by torchvision's names or by functions that make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from protoxai.attribution.target import logits_of
from protoxai.backbones.weights import load_weights, read_weights
from protoxai.runtime.checks import did_you_mean
from protoxai.runtime.modes import evaluating
from protoxai.runtime.plugins import call_by_name, is_call

PREFIX, QUERY = "torchvision/", "weights="


def is_foreign(source: str) -> bool:
    """Return whether a text names a model of another library, as :func:`load_foreign` takes it.

    Example:
        >>> [is_foreign(each) for each in ("torchvision/fcn_resnet50", "my.py:net", "runs/shapes")]
        [True, True, False]
    """
    return not Path(source).exists() and (source.startswith(PREFIX) or is_call(source))


def load_foreign(source: str, num_classes: int) -> nn.Module:
    """Load a segmentation model of another library.

    It takes images (B, 3, H, W), normalised by ImageNet's mean and standard deviation, and its
    classes are those of the data, in their order.

    Args:
        source: A segmentation model of torchvision, with its released weights
            (``torchvision/deeplabv3_resnet50``, or those of a name:
            ``torchvision/deeplabv3_resnet50?weights=DEFAULT``) or those of a file
            (``torchvision/deeplabv3_resnet50?weights=my.pth``); or a function without arguments
            that returns a module (``my_models.py:unet`` or ``package.module:unet``).
        num_classes: Number of classes C of the data.

    Returns:
        The model, in evaluation mode.

    Raises:
        ValueError: If there is no such model, function or file, or they do not fit.
    """
    if source.startswith(PREFIX):
        return _of_torchvision(source, num_classes).eval()
    model = call_by_name(source)
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"{source} returns a {type(model).__name__}, expected a torch.nn.Module: return the "
            "model itself"
        )
    return model.eval()


def check_foreign(model: nn.Module, image: Tensor, num_classes: int, source: str) -> None:
    """Check by one image that a model returns the logits of a number of classes.

    Args:
        model: Model, see :func:`load_foreign`.
        image: Normalised image (3, H, W), on any device.
        num_classes: Number of classes C of the data.
        source: Name of the model, for the error.

    Raises:
        ValueError: If it fails or returns anything else.
    """
    parameter = next(model.parameters(), None)
    if parameter is not None:
        image = image.to(parameter.device)
    with torch.no_grad(), evaluating(model):
        try:
            output = model(image[None])
        except Exception as error:
            raise ValueError(
                f"{source} cannot segment an image of shape {(1, *image.shape)} "
                f"({type(error).__name__}: {error}): wrap the model to take such images, or give "
                "another --data.evaluation_size"
            ) from error
    try:
        logits = logits_of(output)
    except TypeError as error:
        raise ValueError(f"{source}: {error}") from None
    if len(logits) != 1 or logits.shape[1] != num_classes:
        raise ValueError(
            f"{source} returns logits of shape {tuple(logits.shape)} for one image, expected (1, "
            f"{num_classes}, h, w): the data has {num_classes} classes; give a model of the same "
            "classes, in the same order"
        )


def _of_torchvision(source: str, num_classes: int) -> nn.Module:
    from torchvision import models

    name, _, query = source.removeprefix(PREFIX).partition("?")
    known = models.list_models(module=models.segmentation)
    if name not in known:
        raise ValueError(
            f"torchvision has no segmentation model {name!r}{did_you_mean(name, known)}; expected "
            f"one of {', '.join(known)}"
        )
    weights = query.removeprefix(QUERY) if query else "DEFAULT"
    released = models.get_model_weights(name).__members__
    if weights in released:
        return _released(name, released[weights], num_classes)
    if not query.startswith(QUERY) or not Path(weights).expanduser().is_file():
        raise ValueError(
            f"{source}: there is no file {weights!r}, expected {PREFIX}{name}?{QUERY} followed by "
            f"a file of weights or one of {', '.join(released)}"
        )
    model: nn.Module = models.get_model(
        name, weights=None, weights_backbone=None, num_classes=num_classes
    )
    tensors = read_weights(Path(weights).expanduser())
    load_weights(model, tensors, f"{PREFIX}{name}, with the data's {num_classes} classes,")
    return model


def _released(name: str, weights: Any, num_classes: int) -> nn.Module:
    """Return a model of torchvision with its released weights."""
    from torchvision import models

    count = len(weights.meta["categories"])
    if count != num_classes:
        raise ValueError(
            f"the weights {weights.name} of {PREFIX}{name} have {count} classes, the data "
            f"{num_classes}: give a file of weights for the data's classes, as in "
            f"{PREFIX}{name}?{QUERY}my.pth"
        )
    try:
        model: nn.Module = models.get_model(name, weights=weights, progress=False)
    except OSError as error:
        raise ValueError(
            f"the weights {weights.name} of {PREFIX}{name} cannot be loaded ({error}): give a file "
            f"of weights, as in {PREFIX}{name}?{QUERY}my.pth"
        ) from error
    return model
