"""Explainers by name for several models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from protoxai.attribution import REFERENCE_MAPS, AttributionMethod, explainer_named
from protoxai.attribution.registry import RegisteredExplainer
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.checks import instance, shown
from protoxai.runtime.wrappers import unwrapped

DEFAULT_METHODS = (
    "groups",
    "prototypes",
    "InputXGradient",
    "IntegratedGradients",
    "LayerGradCam",
    "LayerGradientXActivation",
)


def explainers_of(
    models: Sequence[Segmenter],
    methods: Sequence[str] | None = None,
    *,
    references: bool = True,
) -> list[AttributionMethod]:
    """Return every explainer of every model that it applies to, named after both.

    Args:
        models: Models of the library; several of one kind are numbered.
        methods: Names of registered explainers: "groups" and "prototypes" of a prototype model,
            Captum's methods, or users' own; None for the model's own and the usual ones of
            Captum.
        references: Whether to add the reference maps, which explain nothing, of every model; see
            :class:`~protoxai.attribution.ReferenceMap`.

    Raises:
        ValueError: If the models have different classes, or a method is unknown or applies to none
            of the models.
        TypeError: If the methods are not a list of names, or ``references`` is no bool.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> for explainer in explainers_of([model], ["prototypes", "Saliency"]):
        ...     print(explainer.name, "(reference)" if explainer.reference else "")
        ScaleProtoSeg: prototypes
        ScaleProtoSeg: Saliency
        ScaleProtoSeg: logit_map (reference)
        ScaleProtoSeg: predicted_region (reference)
        ScaleProtoSeg: edges (reference)
        ScaleProtoSeg: smooth_noise (reference)
        ScaleProtoSeg: pixel_noise (reference)
    """
    given = list_of_names("methods", DEFAULT_METHODS if methods is None else methods)
    instance("references", references, bool)
    if not given:
        raise ValueError("got no methods, expected at least one")
    registered = {method: explainer_named(method) for method in given}
    if references:
        registered |= {method: explainer_named(method) for method in REFERENCE_MAPS}
    if not isinstance(models, Sequence):
        raise TypeError(f"models are {shown(models)}, expected a list of models")
    hint = "models of the library"
    models = [instance("models", unwrapped(model), Segmenter, hint) for model in models]
    if not models:
        raise ValueError("got no models, expected at least one")
    explainers = []
    _check_same_classes(models)
    for model, name in zip(models, _names(models), strict=True):
        for method, entry in registered.items():
            if entry.applies_to(model):
                explainer = entry.create(model)
                explainer.name = f"{name}: {method}"
                explainers.append(explainer)
    if methods is not None:
        _check_each_applies(registered, models)
    return explainers


def list_of_names(name: str, value: Iterable[str]) -> list[str]:
    """Return names as a list, each once.

    Args:
        name: Name of the argument, for the error.
        value: Names in any collection.

    Raises:
        TypeError: If the value is a single text or holds something else than texts.
    """
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    names = list(value) if is_list else [None]
    if not all(isinstance(each, str) for each in names):
        raise TypeError(f"{name} is {shown(value)}, expected a list of names")
    return list(dict.fromkeys(map(str, names)))


def _check_each_applies(
    registered: Mapping[str, RegisteredExplainer], models: Sequence[Segmenter]
) -> None:
    """Raise ``ValueError`` for a method that was asked for and applies to no model."""
    for method, entry in registered.items():
        if not any(entry.applies_to(model) for model in models):
            fix = "choose another method, or leave it out"
            if method == "groups" and any(isinstance(m, ScaleProtoSeg) for m in models):
                fix = "the prototypes have no groups before the group stage: call model.group()"
            elif method in ("groups", "prototypes"):
                fix = f"{method} are those of a ScaleProtoSeg"
            kinds = ", ".join(dict.fromkeys(map(_kind, models)))
            raise ValueError(f"{method} cannot explain any of the models ({kinds}): {fix}")


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
