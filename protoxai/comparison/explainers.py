"""Explainers by name for several models."""

from __future__ import annotations

from collections.abc import Sequence

from protoxai.attribution import AttributionMethod, explainer_named
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.checks import shown

DEFAULT_METHODS = (
    "groups",
    "prototypes",
    "InputXGradient",
    "IntegratedGradients",
    "LayerGradCam",
    "LayerGradientXActivation",
)


def explainers_of(
    models: Sequence[Segmenter], methods: Sequence[str] | None = None
) -> list[AttributionMethod]:
    """Return every explainer of every model that it applies to, named after both.

    Args:
        models: Models of the library; several of one kind are numbered.
        methods: Names of registered explainers: "groups" and "prototypes" of a prototype model,
            Captum's methods, or users' own; None for the model's own and the usual ones of
            Captum.

    Raises:
        ValueError: If the models have different classes, a method is unknown, or none applies to
            any of the models.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> [explainer.name for explainer in explainers_of([model], ["prototypes", "Saliency"])]
        ['ScaleProtoSeg: prototypes', 'ScaleProtoSeg: Saliency']
    """
    methods = DEFAULT_METHODS if methods is None else methods
    registered = {method: explainer_named(method) for method in methods}
    explainers = []
    _check_same_classes(models)
    for model, name in zip(models, _names(models), strict=True):
        for method, entry in registered.items():
            if entry.applies_to(model):
                explainer = entry.create(model)
                explainer.name = f"{name}: {method}"
                explainers.append(explainer)
    if not explainers:
        raise ValueError(
            f"none of {', '.join(methods)} can explain any of the models: groups and prototypes "
            "need a ScaleProtoSeg"
        )
    return explainers


def _check_same_classes(models: Sequence[Segmenter]) -> None:
    """Raise ``ValueError`` unless all models have the same classes in one order, if named."""
    named = {model.class_names for model in models if model.class_names}
    counts = {model.num_classes for model in models}
    if len(named) > 1 or len(counts) > 1:
        raise ValueError(
            f"the models have different classes or another order of them ({shown(sorted(named))}; "
            f"{sorted(counts)} classes): compare models of the same classes"
        )


def _names(models: Sequence[Segmenter]) -> list[str]:
    kinds = [_kind(model) for model in models]
    return [
        f"{kind} {kinds[: number + 1].count(kind)}" if kinds.count(kind) > 1 else kind
        for number, kind in enumerate(kinds)
    ]


def _kind(model: Segmenter) -> str:
    if not isinstance(model, ScaleProtoSeg):
        return "DeepLabv2"
    return "ProtoSeg" if model.table.num_scales == 1 else "ScaleProtoSeg"
