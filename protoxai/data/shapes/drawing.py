"""Plane figures as signed distances: negative inside, positive outside, in units of the plane.

A distance gives both the mask (``distance < 0``) and a smooth edge (the distance in pixels, clipped
to ±½). Figures are combined by ``np.minimum`` (union) and ``np.maximum`` (intersection).

Example:
    >>> y, x = np.indices((3, 5), dtype=np.float32)
    >>> (disc((x, y), (1.0, 1.0), radius=1.2) < 0).astype(int)
    array([[0, 1, 0, 0, 0],
           [1, 1, 1, 0, 0],
           [0, 1, 0, 0, 0]])
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Plane = tuple[Floats, Floats]
Point = tuple[float, float]


def shifted(plane: Plane, by: Point) -> Plane:
    """Return the plane with another origin."""
    return plane[0] - np.float32(by[0]), plane[1] - np.float32(by[1])


def turned(plane: Plane, angle: float) -> Plane:
    """Return the plane with its axes turned by ``angle`` radians about the origin."""
    x, y = plane
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cosine + y * sine, y * cosine - x * sine


def folded(plane: Plane, count: int) -> Plane:
    """Return the plane folded so that a figure on the first axis is repeated ``count`` times."""
    x, y = plane
    sector = np.float32(2 * np.pi / count)
    angle = np.arctan2(y, x)
    angle -= sector * np.round(angle / sector)
    radius = np.hypot(x, y)
    return radius * np.cos(angle), radius * np.sin(angle)


def disc(plane: Plane, centre: Point, radius: float) -> Floats:
    """Return the distance to a filled circle."""
    x, y = shifted(plane, centre)
    distance: Floats = np.hypot(x, y) - np.float32(radius)
    return distance


def ring(plane: Plane, centre: Point, radius: float, width: float) -> Floats:
    """Return the distance to a ring, with ``radius`` to the middle of its ``width``."""
    distance: Floats = np.abs(disc(plane, centre, radius)) - np.float32(width / 2)
    return distance


def ellipse(plane: Plane, centre: Point, half: Point) -> Floats:
    """Return the distance to an ellipse along the axes, exact on its line only."""
    x, y = shifted(plane, centre)
    scaled = np.hypot(x / np.float32(half[0]), y / np.float32(half[1]))
    distance: Floats = (scaled - np.float32(1)) * np.float32(min(half))
    return distance


def box(plane: Plane, centre: Point, half: Point) -> Floats:
    """Return the distance to a rectangle along the axes, given half its width and height."""
    x, y = shifted(plane, centre)
    return np.maximum(np.abs(x) - np.float32(half[0]), np.abs(y) - np.float32(half[1]))


def polygon(plane: Plane, corners: Sequence[Point]) -> Floats:
    """Return the distance to a convex polygon, corners clockwise with the second axis down."""
    sides = []
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        x, y = shifted(plane, start)
        along = np.array([end[0] - start[0], end[1] - start[1]], dtype=np.float32)
        along /= np.hypot(*along)
        sides.append(x * along[1] - y * along[0])
    return reduce(np.maximum, sides)


def union(*distances: Floats) -> Floats:
    """Return the distance to the union of figures."""
    return reduce(np.minimum, distances)
