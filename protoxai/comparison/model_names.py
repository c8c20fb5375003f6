"""Names of the models whose explainers are compared."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from protoxai.attribution import AttributionMethod

SEPARATOR = ": "
"""What stands between the name of a model and that of a method in the name of an explainer."""


def model_names(explainers: Sequence[AttributionMethod]) -> list[str]:
    """Return the name of each explainer's model.

    It is what all explainers of the model have before a colon in their names, as those of
    :func:`~protoxai.comparison.explainers_of` do; otherwise the name of the model's class, numbered
    if several models have it.

    Args:
        explainers: Explainers of one or more models.

    Example:
        >>> import torch
        >>> from protoxai.attribution import CaptumAttribution
        >>> one, other = torch.nn.Conv2d(3, 2, 1), torch.nn.Conv2d(3, 2, 1)
        >>> model_names([CaptumAttribution("Saliency", model) for model in (one, other, one)])
        ['Conv2d 1', 'Conv2d 2', 'Conv2d 1']
    """
    models = list(dict.fromkeys(explainer.model for explainer in explainers))
    names = [_name(model, explainers) for model in models]
    numbered = {
        model: f"{name} {names[: place + 1].count(name)}" if names.count(name) > 1 else name
        for place, (model, name) in enumerate(zip(models, names, strict=True))
    }
    return [numbered[explainer.model] for explainer in explainers]


def method_name(explainer: str, model: str) -> str:
    """Return the name of an explainer without that of its model.

    Example:
        >>> method_name("ProtoSeg: LayerGradCam", "ProtoSeg"), method_name("mine", "ProtoSeg")
        ('LayerGradCam', 'mine')
    """
    return explainer.removeprefix(f"{model}{SEPARATOR}")


def _name(model: nn.Module, explainers: Sequence[AttributionMethod]) -> str:
    own = [explainer.name for explainer in explainers if explainer.model is model]
    prefix, separator, _ = own[0].partition(SEPARATOR)
    if separator and all(name.startswith(prefix + separator) for name in own):
        return prefix
    return type(model).__name__
