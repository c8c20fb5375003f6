"""Effective receptive field: how far a prototype sees beyond the region that is shown for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from protoxai.attribution.prototype_target import PrototypeTarget
from protoxai.explanations.areas import Firing, Region, region_mask, where_it_fires
from protoxai.explanations.inputs import shown_image
from protoxai.labels import labels_at
from protoxai.metrics.explanation.imputation import impute
from protoxai.model.outputs import SegmentationOutput
from protoxai.model.prediction import predicted_labels
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.checks import AT_LEAST_ONE, NOT_NEGATIVE, choice, number, pair, whole
from protoxai.runtime.modes import evaluating
from protoxai.runtime.resize import resize

METHODS = ("InputXGradient", "Saliency", "IntegratedGradients")


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """Pixels of an image that a prototype's activation at one cell depends on.

    Attributes:
        prototype: Index of the prototype.
        cell: Row and column of the activation on the feature grid.
        image: RGB image (3, H, W), in [0, 1].
        map: Share of each pixel in the attribution of the activation, (H, W): at least 0, with the
            sum 1, or 0 everywhere if the activation depends on no pixel.
        region: Pixels that are shown for the prototype, bool (H, W).
        activation: Activation at the cell.
        inside: Share of the map that is in the region.
        kept: Share of the activation that is left if only the region is kept; NaN if the activation
            is 0.
    """

    prototype: int
    cell: tuple[int, int]
    image: Tensor
    map: Tensor
    region: Tensor
    activation: float
    inside: float
    kept: float

    def __str__(self) -> str:
        start = f"Prototype {self.prototype}"
        if math.isnan(self.kept):
            return f"{start} is not active here."
        area = float(self.region.double().mean())
        return (
            f"{start}: the region shown is {area:.1%} of the image. If only this region is kept, "
            f"{self.kept:.0%} of the activation survives. {self.inside:.0%} of what the activation "
            "depends on is in the region."
        )


def receptive_field(
    model: ScaleProtoSeg,
    image: Any,
    prototype: int,
    *,
    cell: tuple[int, int] | None = None,
    region: Region | None = None,
    method: str = "InputXGradient",
    samples: int = 10,
    noise: float = 0.1,
    seed: int = 0,
) -> ReceptiveField:
    """Return which pixels of an image a prototype's activation depends on, and how much it keeps.

    A prototype is shown as a small region, but its activation depends on all pixels in the
    receptive field of one cell, some more and some less. The map is the size of Captum's
    attribution of the activation at the cell, summed over the colours and averaged over images with
    Gaussian noise (Smilkov et al., "SmoothGrad", arXiv 1706.03825; Luo et al., "Understanding the
    effective receptive field in deep convolutional neural networks", NeurIPS 2016, arXiv
    1701.04128). The share that the region alone keeps is measured in the image with all other
    pixels imputed from it, as in :func:`~protoxai.metrics.prototype_misalignment`.

    Args:
        model: Prototype model in either stage; it runs in evaluation mode.
        image: Image as in :func:`~protoxai.explain`.
        prototype: Index of the prototype.
        cell: Row and column on the feature grid; None for the highest activation in the pixels that
            are predicted as the prototype's class, or in the whole image if there are none.
        region: Pixels that are shown for the prototype, as a mask, bool (H, W), or a box (top,
            left, bottom, right), ends exclusive; None for the box around the highest activation, as
            :meth:`Explanation.box` returns it.
        method: Captum's method: "InputXGradient", "Saliency" or "IntegratedGradients".
        samples: Number of noisy images; each takes a forward and a backward pass
            ("IntegratedGradients": 50 of each).
        noise: Standard deviation of the noise, as a share of the image's range of values; with 0
            all samples are the image.
        seed: Seed of the noise.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If there is no such prototype, cell or method, or the region is empty or does
            not fit the image.
        NotFiniteError: If the image is NaN or infinite.

    Example:
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 8, stride=8), 2, prototype_dim=4)
        >>> field = receptive_field(model, torch.randn(3, 48, 48), prototype=3)
        >>> field.map.shape, round(field.kept, 3)  # no pixel outside of the patch reaches its cell
        (torch.Size([48, 48]), 1.0)
    """
    target = PrototypeTarget(model, prototype)
    model, prototype = target.model, target.prototype
    choice("method", method, METHODS)
    samples, noise = whole("samples", samples, AT_LEAST_ONE), number("noise", noise, NOT_NEGATIVE)
    seed = whole("seed", seed, NOT_NEGATIVE)
    given = shown_image(model, image)
    # Tensors made in inference mode cannot be differentiated, so they are cloned outside of it.
    with torch.inference_mode(False), evaluating(model):
        pixels = given.pixels.detach().to(model.prototype_layer.prototypes.device).clone()
        with torch.no_grad():
            output = model(pixels)
        fires = _firing(output, given.size, prototype, int(model.table.class_index[prototype]))
        row, col = fires.cell if cell is None else _cell(cell, output)
        mask = region_mask(fires.box if region is None else region, given.size)
        chosen = torch.zeros_like(output.logits[:, 0], dtype=torch.bool)
        chosen[0, row, col] = True
        field = _attribution(target, pixels, chosen, method, samples, noise, seed)
        with torch.no_grad():
            known = _region_seen(mask, pixels).to(pixels.device)
            alone = float(target(impute(pixels, known[None]), chosen))
    activation = float(output.activations[0, prototype, row, col])
    field = resize(field[:, None], given.size)[0, 0].cpu()
    field = field / field.sum() if bool(field.any()) else field
    return ReceptiveField(
        prototype,
        (row, col),
        given.shown,
        field,
        mask,
        activation,
        float(field[mask].sum()),
        alone / activation if activation else math.nan,
    )


def _firing(
    output: SegmentationOutput, size: tuple[int, int], prototype: int, class_index: int
) -> Firing:
    own = predicted_labels(output.logits, size)[0].cpu() == class_index
    own = own if bool(own.any()) else torch.ones_like(own)
    return where_it_fires(output.activations[0, prototype].cpu(), own)


def _cell(cell: Any, output: SegmentationOutput) -> tuple[int, int]:
    row, col = pair("cell", cell, NOT_NEGATIVE)
    height, width = output.logits.shape[2:]
    if row >= height or col >= width:
        raise ValueError(
            f"cell is {(row, col)}, expected a row and a column of the feature grid of "
            f"{height}x{width} cells"
        )
    return row, col


def _region_seen(mask: Tensor, pixels: Tensor) -> Tensor:
    """Return a region at the size at which the model sees the image, bool (h, w)."""
    height, width = pixels.shape[2:]
    seen = labels_at(mask, (height, width))
    if not bool(seen.any()):
        raise ValueError(
            f"region has {int(mask.sum())} pixels, none of which is left at the model's size of "
            f"{height}x{width}: choose a larger one"
        )
    return seen


def _attribution(
    target: PrototypeTarget,
    pixels: Tensor,
    cells: Tensor,
    method: str,
    samples: int,
    noise: float,
    seed: int,
) -> Tensor:
    """Return the size of the attribution of each pixel (1, h, w), averaged over noisy images."""
    import captum.attr

    attribute = getattr(captum.attr, method)(target).attribute
    generator = torch.Generator().manual_seed(seed)
    deviation = noise * float(pixels.max() - pixels.min())
    total = torch.zeros_like(pixels[:, 0])
    for _ in range(samples):
        shift = torch.randn(pixels.shape, generator=generator, dtype=pixels.dtype)
        noisy = (pixels + deviation * shift.to(pixels.device)).requires_grad_()
        with torch.enable_grad():
            total += attribute(noisy, additional_forward_args=(cells,)).detach().sum(1)
    return total.abs() / samples
