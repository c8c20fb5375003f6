"""The objects of ``Shapes``: each has a few named parts, drawn in the unit circle.

A drawing returns one signed distance per part, in the order of painting. The hull is an area that
belongs to the object without being covered by a part, e.g. the gaps between a wheel's spokes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from protoxai.data.shapes.drawing import (
    Floats,
    Plane,
    box,
    disc,
    ellipse,
    folded,
    polygon,
    ring,
    union,
)

Drawing = Callable[[Plane, np.random.Generator], Sequence[Floats]]


@dataclass(frozen=True)
class Blueprint:
    """One class of objects.

    Attributes:
        name: Name of the class.
        parts: Names of the parts, in the order of painting.
        draw: Function that returns the parts' signed distances on a plane.
        hull: Function that returns the signed distance of the area that belongs to the object, too.
        tilt: Largest angle by which the object is turned either way, in radians.
    """

    name: str
    parts: tuple[str, ...]
    draw: Drawing
    hull: Callable[[Plane], Floats] | None = None
    tilt: float = np.pi


def _wheel(plane: Plane, rng: np.random.Generator) -> Sequence[Floats]:
    width = rng.uniform(0.2, 0.32)
    spokes = box(folded(plane, int(rng.integers(4, 8))), (0.45, 0.0), (0.45, 0.06))
    tyre = ring(plane, (0, 0), 1 - width / 2, width)
    return spokes, tyre, disc(plane, (0, 0), rng.uniform(0.18, 0.28))


def _flower(plane: Plane, rng: np.random.Generator) -> Sequence[Floats]:
    count = int(rng.integers(5, 9))
    petals = ellipse(folded(plane, count), (0.58, 0.0), (0.42, 0.56 * np.tan(np.pi / count)))
    return petals, disc(plane, (0, 0), rng.uniform(0.24, 0.34))


def _sign(plane: Plane, rng: np.random.Generator) -> Sequence[Floats]:
    bar = box(plane, (0, 0), (rng.uniform(0.55, 0.68), rng.uniform(0.15, 0.22)))
    return disc(plane, (0, 0), 0.97), bar


def _house(plane: Plane, rng: np.random.Generator) -> Sequence[Floats]:
    side = rng.choice((-1.0, 1.0))
    height = rng.uniform(0.75, 0.95)
    wall = box(plane, (0, 0.35), (0.62, 0.43))
    roof = polygon(plane, [(-0.85, -0.05), (0.0, -height), (0.85, -0.05)])
    door = box(plane, (-0.27 * side, 0.47), (0.17, 0.31))
    return wall, roof, door, box(plane, (0.27 * side, 0.3), (0.17, 0.15))


def _tree(plane: Plane, rng: np.random.Generator) -> Sequence[Floats]:
    trunk = box(plane, (0, 0.55), (rng.uniform(0.1, 0.15), 0.43))
    return trunk, _crown(plane, rng)


def _crown(plane: Plane, rng: np.random.Generator) -> Floats:
    top = disc(plane, (rng.uniform(-0.06, 0.06), -0.5), rng.uniform(0.38, 0.46))
    sides = [disc(plane, (x, -0.12), rng.uniform(0.36, 0.44)) for x in (-0.42, 0.42)]
    return union(top, *sides)


def _fish(plane: Plane, rng: np.random.Generator) -> Sequence[Floats]:
    height = rng.uniform(0.36, 0.48)
    spread = rng.uniform(0.36, 0.48)
    tail = polygon(plane, [(0.36, 0.0), (0.9, -spread), (0.9, spread)])
    body = ellipse(plane, (-0.24, 0.0), (0.74, height))
    return tail, body, disc(plane, (-0.62, -0.12), 0.1)


def _ladder(plane: Plane, rng: np.random.Generator) -> Sequence[Floats]:
    x, y = plane
    count = int(rng.integers(4, 7))
    step = np.float32(1.9 / count)
    between = (y + np.float32(0.95)) % step - step / 2
    rungs = np.maximum(box((x, between), (0, 0), (0.34, 0.07)), np.abs(y) - np.float32(0.95))
    rails = box((np.abs(x), y), (0.36, 0.0), (0.09, 0.95))
    return rungs, rails


def _key(plane: Plane, rng: np.random.Generator) -> Sequence[Floats]:
    width = rng.uniform(0.15, 0.2)
    shaft = box(plane, (0.36, 0.0), (0.61, 0.085))
    teeth = [box(plane, (x, 0.2), (0.07, rng.uniform(0.14, 0.2))) for x in (0.62, 0.88)]
    return shaft, union(*teeth), ring(plane, (-0.58, 0), 0.4 - width / 2, width)


BLUEPRINTS = (
    Blueprint("wheel", ("spokes", "tyre", "hub"), _wheel, hull=lambda p: disc(p, (0, 0), 0.9)),
    Blueprint("flower", ("petals", "core"), _flower),
    Blueprint("sign", ("plate", "bar"), _sign),
    Blueprint("house", ("wall", "roof", "door", "window"), _house, tilt=0.5),
    Blueprint("tree", ("trunk", "crown"), _tree, tilt=0.5),
    Blueprint("fish", ("tail", "body", "eye"), _fish),
    Blueprint("ladder", ("rungs", "rails"), _ladder, hull=lambda p: box(p, (0, 0), (0.4, 0.9))),
    Blueprint("key", ("shaft", "teeth", "bow"), _key, hull=lambda p: disc(p, (-0.58, 0), 0.3)),
)


def _rails(plane: Plane, rng: np.random.Generator) -> Floats:
    return box((np.abs(plane[0]), plane[1]), (rng.uniform(0.3, 0.45), 0.0), (0.1, 0.88))


def _cross(plane: Plane, rng: np.random.Generator) -> Floats:
    return box(folded(plane, int(rng.integers(3, 6))), (0.45, 0.0), (0.48, 0.09))


CLUTTER: tuple[Callable[[Plane, np.random.Generator], Floats], ...] = (
    lambda plane, rng: ring(plane, (0, 0), 0.85, rng.uniform(0.2, 0.32)),
    lambda plane, rng: disc(plane, (0, 0), rng.uniform(0.5, 0.95)),
    lambda plane, rng: box(plane, (0, 0), (0.95, rng.uniform(0.1, 0.25))),
    lambda plane, rng: box(plane, (0, 0), (0.7, rng.uniform(0.45, 0.65))),
    lambda plane, rng: ellipse(plane, (0, 0), (0.95, rng.uniform(0.35, 0.5))),
    lambda plane, rng: polygon(plane, [(-0.85, 0.3), (0.0, rng.uniform(-0.9, -0.5)), (0.85, 0.3)]),
    _crown,
    _rails,
    _cross,
)
"""Single pieces that look like a part of some object and belong to the background."""
