"""Pictures in figures: patches of prototypes, regions and predictions, as arrays of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from protoxai.projection.pictures import Pixels as Bytes
from protoxai.prototypes.patches import context_window
from protoxai.prototypes.prototype import Prototype
from protoxai.prototypes.provenance import Box
from protoxai.runtime.checks import palette_of
from protoxai.runtime.palette import distinct_palette

Pixels = NDArray[np.float64]
Palette = Sequence[tuple[int, int, int]]
GREY = 0.72
"""Level of grey that the context is blended with."""
DIMMED = 0.48
"""Share of grey in the context of an active region."""
FADED = 0.45
"""Contrast of an image outside of the explained region."""
GLOW = np.array([1.0, 0.95, 0.5])
"""Colour of the light over active pixels."""
LIGHT = 0.24
"""Share of the light where a prototype is as active as it can be."""
DARK = 0.55
"""Level below which the bright parts of a picture are brightened to it."""


class Cutout(NamedTuple):
    """A part of a picture, with what to mark in it.

    Attributes:
        pixels: RGB pixels (h, w, 3), in [0, 1].
        box: Active region (top, left, bottom, right) in these pixels.
        cell: Feature pixel; None if it is unknown.
    """

    pixels: Pixels
    box: Box
    cell: Box | None


def prototype_cutout(prototype: Prototype) -> Cutout | None:
    """Return a prototype's picture: the context is dimmed, and light lies where it is active.

    Args:
        prototype: The prototype.

    Returns:
        The picture; None if none was kept.
    """
    if prototype.patch is None:
        return None
    height, width = prototype.patch.shape[:2]
    box = prototype.box or prototype.cell or (0, 0, height, width)
    light = prototype.activation
    if light is not None:
        top, left, bottom, right = prototype.cell or box
        light = _smooth(light, (bottom - top, right - left))
    return Cutout(spotlit(prototype.patch / 255, box, light), box, prototype.cell)


def image_cutout(image: Tensor, box: Box, activity: Tensor | None) -> Cutout:
    """Return a part of an image around a box, shown as a prototype's picture is.

    Args:
        image: RGB image (3, H, W), in [0, 1].
        box: Box of the image.
        activity: How active a prototype is at every pixel, (H, W); the highest value in the part is
            the lightest. None for no light.
    """
    top, left, bottom, right = context_window(box, (image.shape[1], image.shape[2]))
    pixels = rgb(image[:, top:bottom, left:right])
    light = None
    if activity is not None:
        part = activity[top:bottom, left:right].clamp_min(0).double().numpy()
        light = part / max(float(part.max()), 1e-12)
    inner = (box[0] - top, box[1] - left, box[2] - top, box[3] - left)
    return Cutout(spotlit(pixels, inner, light), inner, None)


def spotlit(pixels: NDArray[Any], box: Box, activation: NDArray[Any] | None) -> Pixels:
    """Return a picture with the context of a box dimmed, and light where there is activation.

    Args:
        pixels: RGB pixels (h, w, 3), in [0, 1].
        box: Box (top, left, bottom, right) of these pixels.
        activation: Activation (h, w) in [0, 1]; None if it is unknown.

    Example:
        >>> spotlit(np.ones((2, 2, 3)), (0, 0, 1, 2), None)[:, 0, 0]
        array([1.    , 0.8656])
    """
    shown = brightened(pixels)
    context = np.ones(shown.shape[:2], dtype=bool)
    context[box[0] : box[2], box[1] : box[3]] = False
    shown = np.where(context[..., None], (1 - DIMMED) * shown + DIMMED * GREY, shown)
    if activation is None:
        return shown
    light = LIGHT * np.asarray(activation, dtype=np.float64)[..., None] ** 2
    return shown + light * (GLOW - shown) * (shown < GLOW)


def _smooth(values: NDArray[Any], cell: tuple[int, int]) -> NDArray[Any]:
    """Return values without the edges of the cells, which would look like edges of the picture."""
    from scipy.ndimage import gaussian_filter

    smooth: NDArray[Any] = gaussian_filter(values, [side / 3 for side in cell])
    return smooth


def brightened(pixels: NDArray[Any]) -> Pixels:
    """Return a dark picture as bright as it takes to recognise it, and others as they are.

    Args:
        pixels: RGB pixels (h, w, 3), in [0, 1].
    """
    values = np.asarray(pixels, dtype=np.float64)
    bright = float(np.quantile(values.max(2), 0.9))
    if bright >= DARK or bright <= 0:
        return values
    exponent: float = np.log(DARK) / np.log(bright)
    return values**exponent


def faded(image: Tensor, region: Tensor) -> Pixels:
    """Return an image that is faint outside of a region.

    Args:
        image: RGB image (3, H, W), in [0, 1].
        region: Pixels, bool (H, W).
    """
    pixels = rgb(image)
    return np.where(region.numpy()[..., None], pixels, 1 - FADED * (1 - pixels))


def labelled(image: Tensor, labels: Tensor, colours: Pixels) -> Pixels:
    """Return an image tinted with the colours of its labels.

    Args:
        image: RGB image (3, H, W), in [0, 1].
        labels: Labels (H, W); those outside of the classes are white.
        colours: Colour of each class, (C, 3), in [0, 1].
    """
    classes = labels.numpy()
    known = (classes >= 0) & (classes < len(colours))
    tint = np.where(known[..., None], colours[np.where(known, classes, 0)], 1.0)
    return 0.35 * rgb(image) + 0.65 * tint


def class_colours(num_classes: int, palette: Palette | None) -> Pixels:
    """Return the colour of each class, (C, 3), in [0, 1].

    Args:
        num_classes: Number of classes C.
        palette: RGB colour of each class, 0 to 255; None for distinct ones.
    """
    given: Sequence[Sequence[int]] = distinct_palette(num_classes)
    if palette is not None:
        given = palette_of("palette", palette, num_classes)
    return np.asarray(given, dtype=np.float64) / 255


def rgb(image: Tensor) -> Pixels:
    """Return an image (3, H, W) as pixels (H, W, 3), clipped to [0, 1]."""
    pixels: Pixels = image.detach().cpu().clamp(0, 1).permute(1, 2, 0).double().numpy()
    return pixels


def as_bytes(pixels: NDArray[Any]) -> Bytes:
    """Return pixels in [0, 1] as uint8."""
    whole: Bytes = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return whole
