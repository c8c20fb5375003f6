"""Explainers by name for several models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from torch import nn

from protoxai.attribution import REFERENCE_MAPS, AttributionMethod, explainer_named
from protoxai.attribution.layers import has_trunk
from protoxai.attribution.prototype import UNITS
from protoxai.model.linear import LinearSegmenter
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.checks import instance, shown
from protoxai.runtime.wrappers import unwrapped

Kind = TypeVar("Kind")
USUAL_METHODS = (
    "LayerGradCam",
    "LayerGradientXActivation",
    "InputXGradient",
    "IntegratedGradients",
)
"""Captum's methods that a comparison has by default; a black box's first one stands for it."""


def explainers_of(
    models: Sequence[nn.Module],
    methods: Sequence[str] | None = None,
    *,
    references: bool = True,
) -> list[AttributionMethod]:
    """Return every explainer of every model that it applies to, named after both.

    Args:
        models: Models of the library and any others that return logits (B, C, h, w), see
            :class:`~protoxai.attribution.SegmentationTarget`, all with the same classes; several of
            one kind are numbered.
        methods: Names of registered explainers, see
            :func:`~protoxai.attribution.register_explainer`. None: a prototype model's own (its
            groups, or in stage 1 its prototypes, whose maps are the same), and the usual ones of
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
    given = None if methods is None else list_of_names("methods", methods)
    for method in given or ():
        explainer_named(method)
    if given == []:
        raise ValueError("got no methods, expected at least one")
    added = REFERENCE_MAPS if instance("references", references, bool) else ()
    models = _checked(models)
    if given is not None:
        _check_each_applies(given, models)
    explainers = []
    for model, name in zip(models, _names(models), strict=True):
        chosen = _default_methods(model) if given is None else given
        for method in dict.fromkeys([*chosen, *added]):
            entry = explainer_named(method)
            if entry.applies_to(model):
                explainer = entry.create(model)
                explainer.name = f"{name}: {method}"
                explainers.append(explainer)
    return explainers


def _default_methods(model: nn.Module) -> list[str]:
    """Return a model's methods by default, with one for a prototype model's evidence."""
    own = next((m for m in UNITS if explainer_named(m).applies_to(model)), None)
    return [*USUAL_METHODS] if own is None else [own, *USUAL_METHODS]


def list_of(name: str, value: Sequence[Kind], kind: type) -> list[Kind]:
    """Return the objects of a sequence that has to hold objects of one class, and some.

    Args:
        name: Name of the argument, for the error.
        value: The sequence.
        kind: Class of the objects.

    Raises:
        TypeError: If the value is no sequence, or holds something else.
        ValueError: If it is empty.
    """
    if not isinstance(value, Sequence) or not all(isinstance(each, kind) for each in value):
        raise TypeError(f"{name} are {shown(value)}, expected a list of {kind.__name__}s")
    if not value:
        raise ValueError(f"got no {name}, expected at least one {kind.__name__}")
    return list(value)


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


def _checked(models: Sequence[nn.Module]) -> list[nn.Module]:
    """Return the models without wrappers, or raise an error if they cannot be compared."""
    if not isinstance(models, Sequence):
        raise TypeError(f"models are {shown(models)}, expected a list of models")
    if not models:
        raise ValueError("got no models, expected at least one")
    models = [instance("models", unwrapped(model), nn.Module) for model in models]
    ours = [model for model in models if isinstance(model, Segmenter)]
    named = {model.class_names for model in ours if model.class_names}
    counts = {model.num_classes for model in ours}
    if len(named) > 1 or len(counts) > 1:
        raise ValueError(
            f"the models have different classes or another order of them ({shown(sorted(named))}; "
            f"{sorted(counts)} classes): compare models of the same classes"
        )
    return models


def _check_each_applies(methods: Sequence[str], models: Sequence[nn.Module]) -> None:
    """Raise ``ValueError`` for a method that was asked for and applies to no model."""
    for method in methods:
        applies_to = explainer_named(method).applies_to
        if any(map(applies_to, models)):
            continue
        fix = "choose another method, or leave it out"
        if method == "groups" and any(isinstance(m, ScaleProtoSeg) for m in models):
            fix = "the prototypes have no groups before the group stage: call model.group()"
        elif method in UNITS:
            fix = f"{method} are those of a ScaleProtoSeg"
        elif applies_to is has_trunk:
            fix = "its feature extractor has to be the model's attribute `backbone` or `encoder`"
        kinds = ", ".join(dict.fromkeys(map(_kind, models)))
        raise ValueError(f"{method} cannot explain any of the models ({kinds}): {fix}")


def _names(models: Sequence[nn.Module]) -> list[str]:
    kinds = [_kind(model) for model in models]
    return [
        f"{kind} {kinds[: number + 1].count(kind)}" if kinds.count(kind) > 1 else kind
        for number, kind in enumerate(kinds)
    ]


def _kind(model: nn.Module) -> str:
    if isinstance(model, ScaleProtoSeg):
        return "ProtoSeg" if model.table.num_scales == 1 else "ScaleProtoSeg"
    return "DeepLabv2" if isinstance(model, LinearSegmenter) else type(model).__name__
