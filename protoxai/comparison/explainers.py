"""The explainers of some models: their own prototypes, and Captum's methods."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from protoxai.attribution import AttributionMethod, CaptumAttribution, PrototypeAttribution
from protoxai.attribution.captum_methods import METHODS as CAPTUM_METHODS
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter

PROTOTYPE_METHODS = ("groups", "prototypes")
USUAL = ("InputXGradient", "IntegratedGradients", "LayerGradCam", "LayerGradientXActivation")


def explainers_of(
    models: Sequence[Segmenter], methods: Sequence[str] | None = None
) -> list[AttributionMethod]:
    """Return every method for every model that it can explain, named after both.

    Args:
        models: of the library; two of one kind are numbered.
        methods: "groups", "prototypes" (a prototype model's own) or names of Captum's methods;
            None: the model's own and the usual of Captum's.

    Raises:
        ValueError: if a method is unknown, or none can explain any of the models.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> [explainer.name for explainer in explainers_of([model], ["prototypes", "Saliency"])]
        ['ScaleProtoSeg: prototypes', 'ScaleProtoSeg: Saliency']
    """
    known = (*PROTOTYPE_METHODS, *CAPTUM_METHODS)
    chosen = (*PROTOTYPE_METHODS, *USUAL) if methods is None else methods
    for method in chosen:
        if method not in known:
            close = difflib.get_close_matches(method, known, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(f"there is no method {method!r}{hint}; there are {', '.join(known)}")
    explainers: list[AttributionMethod] = []
    for model, name in zip(models, _names(models), strict=True):
        for method in chosen:
            explainer: AttributionMethod
            if method not in PROTOTYPE_METHODS:
                explainer = CaptumAttribution(method, model)
            elif isinstance(model, ScaleProtoSeg) and (model.grouped or method == "prototypes"):
                explainer = PrototypeAttribution(model, method)
            else:
                continue
            explainer.name = f"{name}: {method}"
            explainers.append(explainer)
    if not explainers:
        raise ValueError(
            f"{', '.join(chosen)} cannot explain any of the models: groups and prototypes need a "
            "ScaleProtoSeg"
        )
    return explainers


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
