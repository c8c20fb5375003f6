"""Images of one normalisation for models that require several."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from protoxai.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from protoxai.model.segmenter import Segmenter


class Normalisation(NamedTuple):
    """How images are normalised.

    Attributes:
        mean: Mean of each colour.
        std: Standard deviation of each colour.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


def normalisation_of(model: nn.Module) -> Normalisation:
    """Return how a model requires images to be normalised; models of others, as for ImageNet."""
    if isinstance(model, Segmenter):
        return Normalisation(tuple(model.mean), tuple(model.std))
    return Normalisation(IMAGENET_MEAN, IMAGENET_STD)


def renormalise(model: nn.Module, given: Normalisation) -> None:
    """Let a model convert images from a given normalisation to the one that it requires.

    The model is changed in place: it converts its input before each call. So all models of a
    comparison can be given the same images.

    Args:
        model: Model.
        given: How the images that it is called with are normalised.

    Example:
        >>> import torch
        >>> model = nn.Conv2d(3, 2, 1)
        >>> black, required = torch.zeros(1, 3, 4, 4), normalisation_of(model)
        >>> expected = model((black - torch.tensor(required.mean)[:, None, None])
        ...                  / torch.tensor(required.std)[:, None, None])
        >>> renormalise(model, Normalisation((0, 0, 0), (1, 1, 1)))
        >>> torch.allclose(model(black), expected, atol=1e-6)
        True
    """
    required = normalisation_of(model)
    if required == given:
        return

    def convert(_module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        images: Tensor = arguments[0]
        mean, std, own_mean, own_std = (
            images.new_tensor(each)[:, None, None] for each in (*given, *required)
        )
        return (images * std + mean - own_mean) / own_std, *arguments[1:]

    model.register_forward_pre_hook(convert)
