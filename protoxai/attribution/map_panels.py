"""Panels of figures with attribution maps: what they show, and in which colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = "PuOr"
"""Colour map of signed values, which colour-blind people can read: orange below 0, violet above."""
OUTLINE = "#d55e00"


def draw_image(panel: Axes, image: Tensor, region: Tensor) -> None:
    """Draw an image with the outline of the region that is explained.

    Args:
        panel: Axes to draw in.
        image: Image (3, H, W), however it is normalised.
        region: Pixels, bool (H, W).
    """
    panel.imshow(displayed(image))
    if bool(region.any()):
        panel.contour(region.cpu().numpy(), levels=[0.5], colors=OUTLINE, linewidths=1)


def draw_map(panel: Axes, values: NDArray[Any]) -> None:
    """Draw a map, divided by its largest absolute value, so that 0 is white.

    Args:
        panel: Axes to draw in.
        values: Signed contributions (H, W).
    """
    largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
    panel.imshow(values, cmap=COLOURS, vmin=-(largest or 1.0), vmax=largest or 1.0)


def draw_failure(panel: Axes, error: Exception) -> None:
    """Write in a panel why it has no map."""
    panel.text(0.5, 0.5, type(error).__name__, ha="center", va="center", fontsize=7)
    panel.set_axis_on()


def bare(panel: Axes) -> None:
    """Take ticks and frame from a panel."""
    panel.set_xticks([])
    panel.set_yticks([])
    for side in panel.spines.values():
        side.set_visible(False)


def displayed(image: Tensor) -> NDArray[np.float32]:
    """Return an image stretched to [0, 1] for display, whatever its normalisation, (H, W, 3).

    Args:
        image: Image (3, H, W).
    """
    low, high = (float(value) for value in image.aminmax())
    pixels: NDArray[np.float32] = ((image.float() - low) / ((high - low) or 1.0)).cpu().numpy()
    return pixels.transpose(1, 2, 0)
