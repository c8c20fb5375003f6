"""Arrays and pictures as text, as small as their use allows."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protoxai.explanations.report.payload import PageMaps, PageOverlay

LONGEST_RUN = 65535
IGNORED = 65535
LONG_SIDE = 1600
"""Longest side of a picture in pixels."""
OVERLAY_SIDE = 24


def encode_array(values: NDArray[Any], kind: str) -> str:
    """Return the base64 of an array's values.

    Args:
        values: Values of any shape.
        kind: Type to store, such as ``"<f4"``.
    """
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")


def encode_runs(values: NDArray[Any]) -> str:
    """Return the base64 of the runs of equal values, in pairs (value, length).

    Args:
        values: Whole numbers from 0 to 65535, of any shape, read row by row.

    Example:
        >>> import base64
        >>> np.frombuffer(base64.b64decode(encode_runs(np.array([[7, 7], [7, 1]]))), "<u2")
        array([7, 3, 1, 1], dtype=uint16)
    """
    flat = values.reshape(-1)
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    lengths = np.diff(np.r_[starts, len(flat)])
    # A run that is too long for 16 bits becomes several.
    parts = -(-lengths // LONGEST_RUN)
    runs = np.full((parts.sum(), 2), LONGEST_RUN)
    runs[:, 0] = np.repeat(flat[starts], parts)
    runs[parts.cumsum() - 1, 1] = lengths - (parts - 1) * LONGEST_RUN
    return encode_array(runs, "<u2")


def encode_maps(activations: NDArray[Any], bits: int) -> tuple[PageMaps, NDArray[np.float64]]:
    """Quantise each map between its own extremes.

    Args:
        activations: Maps (P, h, w).
        bits: 8, 16 or 32.

    Returns:
        The encoded maps, and the values (P, h, w) that a reader decodes.
    """
    count, rows, columns = activations.shape
    flat = activations.reshape(count, -1).astype(np.float64)
    low = flat.min(1)
    step = (flat.max(1) - low) / (2**bits - 1)
    steps = np.rint((flat - low[:, None]) / np.where(step > 0, step, 1)[:, None])
    decoded = low[:, None] + step[:, None] * steps
    values = encode_array(steps, f"<u{bits // 8}")
    maps = PageMaps(rows, columns, bits, low.tolist(), step.tolist(), values)
    return maps, decoded.reshape(activations.shape)


def encode_picture(pixels: NDArray[np.uint8]) -> str:
    """Return a picture as the data URI of a WebP image, reduced to 1,600 pixels.

    Args:
        pixels: RGB picture (h, w, 3).
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((LONG_SIDE, LONG_SIDE))
    content = io.BytesIO()
    picture.save(content, format="WEBP", quality=85, method=4)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def encode_overlay(activation: NDArray[np.float32]) -> PageOverlay:
    """Return an activation map with at most 24 rows and columns, and 256 steps.

    Args:
        activation: Values (h, w) in [0, 1].
    """
    from PIL import Image

    height, width = activation.shape
    size = (min(width, OVERLAY_SIDE), min(height, OVERLAY_SIDE))
    small = Image.fromarray(np.asarray(activation, dtype=np.float32)).resize(
        size, Image.Resampling.BOX
    )
    values = np.rint(np.clip(np.asarray(small), 0, 1) * 255)
    return PageOverlay(size[1], size[0], encode_array(values, "u1"))
