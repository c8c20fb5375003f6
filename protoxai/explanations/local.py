"""Explanation of images: the groups and prototypes behind each predicted class."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from protoxai.explanations.explanation import Explanation
from protoxai.explanations.inputs import shown_image
from protoxai.labels import check_labels
from protoxai.model.familiarity import familiarity
from protoxai.model.finiteness import check_result
from protoxai.model.outputs import SegmentationOutput
from protoxai.model.prediction import predicted_labels
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.checks import instance, shown
from protoxai.runtime.finite import check_finite_weights
from protoxai.runtime.modes import evaluating
from protoxai.runtime.tensors import tensor
from protoxai.runtime.wrappers import unwrapped


@overload
def explain(
    model: ScaleProtoSeg,
    image: list[Any] | tuple[Any, ...],
    labels: Sequence[Tensor | None] | Tensor | None = None,
    *,
    ignore_index: int = 255,
) -> tuple[Explanation, ...]: ...
@overload
def explain(
    model: ScaleProtoSeg, image: Any, labels: Tensor | None = None, *, ignore_index: int = 255
) -> Any: ...
def explain(
    model: ScaleProtoSeg, image: Any, labels: Any = None, *, ignore_index: int = 255
) -> Explanation | tuple[Explanation, ...]:
    """Explain the segmentation of an image, or of several.

    Every number is exact: a class's logit is its baseline plus the evidence of all groups, and a
    group's evidence is the sum of its prototypes'. An explanation has the size (H, W) of the image
    as it was given, also where the model sees it at another size. The model sees an image as a
    whole, without a sliding window.

    Args:
        model: Model in either stage; it runs in evaluation mode.
        image: Path, Pillow image, uint8 array (H, W, 3), uint8 tensor (3, H, W), or normalised
            floating-point tensor (3, H, W), as ``model.preprocess`` takes it. Or several: a list or
            a tuple of images, or a tensor (B, 3, H, W) with B > 1.
        labels: True labels, integers (H, W), to be shown beside the prediction; for several images
            one map for each, or None.
        ignore_index: Value of labels that do not count.

    Returns:
        The explanation, on the CPU; for several images a tuple of them.

    Raises:
        TypeError: If the model has no prototypes, or an argument is of another type.
        ValueError: If the image has another shape, or the labels do not fit it or the classes.
        NotFiniteError: If the image, a weight or a result is NaN or infinite.

    Example:
        >>> import torch
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4).group()
        >>> explanation = explain(model, torch.randn(3, 32, 40))
        >>> region = explanation.regions[0]
        >>> total = region.baseline + region.other_evidence + sum(g.evidence for g in region.groups)
        >>> abs(total - region.logit) < 1e-5 * abs(region.logit)
        True
        >>> len(explain(model, torch.randn(2, 3, 32, 40)))
        2
    """
    hint = "a model without prototypes has no evidence to show"
    model = instance("model", unwrapped(model), ScaleProtoSeg, hint)
    check_finite_weights(model)
    if not _is_several(image):
        return _explain(model, image, _single(labels), ignore_index)
    if not len(image):
        raise ValueError("image is empty, expected at least one image")
    each = [None] * len(image) if labels is None else labels
    if not isinstance(each, list | tuple | Tensor) or len(each) != len(image):
        raise ValueError(
            f"labels are {shown(labels)}, expected one map (H, W) for each of {len(image)} images, "
            "or None"
        )
    return tuple(
        _explain(model, one, _single(own), ignore_index, position)
        for position, (one, own) in enumerate(zip(image, each, strict=True))
    )


@torch.no_grad()
def _explain(
    model: ScaleProtoSeg,
    image: Any,
    labels: Tensor | None,
    ignore_index: int,
    position: int | None = None,
) -> Explanation:
    given = shown_image(model, image, position)
    if labels is not None:
        _check_labels(labels, given.size)
        check_labels(labels, model.num_classes, ignore_index)
    with evaluating(model):
        pixels = given.pixels.to(model.prototype_layer.prototypes.device)
        output = model.forward_embedding(model.embed(pixels))
        check_result(model, pixels, output.logits)
    prediction = predicted_labels(output.logits, given.size)[0]
    known = None
    if model.class_distances is not None:
        known = familiarity(output.distances[0], prediction, model.class_distances, model.table)
    return Explanation(
        image=given.shown,
        prediction=prediction.cpu(),
        labels=None if labels is None else labels.cpu().long(),
        class_names=model.class_names or tuple(f"class {c}" for c in range(model.num_classes)),
        output=_on_cpu(output),
        head=copy.deepcopy(model.head).cpu().requires_grad_(False),
        prototypes=model.prototypes,
        provenance=model.provenance,
        familiarity=None if known is None else known.cpu(),
        palette=model.colours,
    )


def _check_labels(labels: Any, size: tuple[int, int]) -> None:
    sizes, hint = {"height": size[0], "width": size[1]}, "the image has this size as it was given"
    tensor("labels", labels, "height width", "integers", sizes=sizes, hint=hint)


def _is_several(image: object) -> bool:
    """Return whether images are given rather than one."""
    if isinstance(image, list | tuple):
        return True
    return isinstance(image, Tensor | np.ndarray) and image.ndim == 4 and len(image) != 1


def _single(labels: Any) -> Any:
    """Return the labels of one image without the axis of a batch of one."""
    if isinstance(labels, Tensor) and labels.dim() == 3 and len(labels) == 1:
        return labels[0]
    return labels


def _on_cpu(output: SegmentationOutput) -> SegmentationOutput:
    scores = output.group_scores
    return SegmentationOutput(
        output.logits.cpu(),
        output.embedding.cpu(),
        output.distances.cpu(),
        output.activations.cpu(),
        None if scores is None else scores.cpu(),
    )
