"""Where in a model the first value that is NaN or infinite arises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from protoxai.runtime.finite import all_finite, check_each, check_finite_weights, check_images

if TYPE_CHECKING:
    from protoxai.model.segmenter import Segmenter

STEPS = {
    "embedding": "the embedding",
    "distances": "the distances to the prototypes",
    "activations": "the activations of the prototypes",
    "group_scores": "the scores of the head's groups",
    "logits": "the logits of the head",
}
"""Fields of a model's output, in the order in which they are computed."""


def check_result(model: Segmenter, images: Tensor, result: Tensor) -> None:
    """Raise an error if images, or what a model computes from them, are not finite.

    Values are checked on the CPU and without gradients only: reading them from another device would
    stall it, and compilers cannot branch on them.

    Args:
        model: The model.
        images: Normalised images (B, 3, H, W).
        result: Maps that the model computes from them, (B, ...).

    Raises:
        NotFiniteError: If a value is NaN or infinite. The error names where the first one arises:
            in an image, a weight, or a step from the images to the logits.
    """
    if result.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return
    # An infinite pixel may vanish on the way, in a rectifier or a sigmoid.
    check_images(images)
    if all_finite(result):
        return
    check_finite_weights(model)
    for step, maps in _steps(model, images):
        check_each(
            maps,
            f"{step} of {{image}} has values that are NaN or infinite, though the image and all "
            "weights are finite",
            fix="normalise the images as the model requires, or compute in float32",
        )


def _steps(model: Segmenter, images: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the maps of each step from the images to the logits."""
    for level, maps in enumerate(model.backbone(images)):
        yield f"level {level} of the backbone's feature maps", maps
    yield "the output of the scales", model.scale_maps(images)[0]
    output = model(images)
    for field, step in STEPS.items():
        maps = getattr(output, field, None)
        if maps is not None:
            yield step, maps
