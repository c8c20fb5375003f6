"""One picture of ``Shapes``: the places of the objects, and their painting."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protoxai.data.shapes.drawing import Floats, Plane, turned
from protoxai.data.shapes.objects import BLUEPRINTS, CLUTTER
from protoxai.data.shapes.textures import clouds, pick_colour, texture

OBJECT_RADIUS = (0.07, 0.43)
"""Smallest and largest radius, as a share of the picture's shorter side."""
CLUTTER_RADIUS = (0.05, 0.2)
CLUTTER_SPACING = 1.1
OBJECT_SPACING = 0.85
"""Smallest distance between two objects' centres, as a share of the sum of their radii."""

FIRST_PART = tuple(1 + sum(len(b.parts) for b in BLUEPRINTS[:k]) for k in range(len(BLUEPRINTS)))
"""Number of each blueprint's first part; 0 is no part."""


@dataclass(frozen=True)
class Place:
    """A circle in the picture, in pixels."""

    x: float
    y: float
    radius: float


@dataclass
class Scene:
    """A picture being painted.

    Attributes:
        image: Image (H, W, 3), in [0, 1].
        labels: Labels (H, W).
        parts: Parts (H, W), 0 for no part.
        objects: Number of the object (H, W) that a part belongs to, in the order of painting, from
            0; of no meaning where there is no part.
        classes: Class of each object, in the order of painting.
    """

    image: Floats
    labels: NDArray[np.int64]
    parts: NDArray[np.int64]
    objects: NDArray[np.int64]
    classes: list[int] = field(default_factory=list)


def draw_scene(
    rng: np.random.Generator,
    size: tuple[int, int],
    objects: tuple[int, int],
    clutter: tuple[int, int],
    without: tuple[int, int] | None = None,
) -> Scene:
    """Paint a background, clutter and objects.

    Args:
        rng: Generator that decides everything in the scene beside the other arguments.
        size: Height and width in pixels.
        objects: Fewest and most objects; there are fewer if not all of them fit.
        clutter: Fewest and most single pieces; there are fewer if not all of them fit.
        without: Number of an object, from 0 in the order of painting, and number of the part of it
            that is not painted; nothing else in the scene changes.

    Returns:
        The scene, with noise and lighting.

    Example:
        >>> scene = draw_scene(np.random.default_rng(0), (64, 96), objects=(1, 2), clutter=(0, 1))
        >>> scene.image.shape, scene.labels.shape
        ((64, 96, 3), (64, 96))
    """
    scene, ground = _background(rng, size)
    places = _places(
        rng, size, _number(rng, objects), OBJECT_RADIUS, taken=[], spacing=OBJECT_SPACING
    )
    # Pieces touch nothing: two of them side by side could look like an object.
    pieces = _places(
        rng, size, _number(rng, clutter), CLUTTER_RADIUS, taken=places, spacing=CLUTTER_SPACING
    )
    for place in pieces:
        _paint_piece(scene, place, ground, rng)
    for place in places:
        _paint_object(scene, place, ground, rng, without)
    _light(scene.image, rng)
    return scene


def _number(rng: np.random.Generator, bounds: tuple[int, int]) -> int:
    return int(rng.integers(bounds[0], bounds[1] + 1))


def _background(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Scene, list[Floats]]:
    first = pick_colour(rng, [])
    other = pick_colour(rng, [])
    second = first + (other - first) * np.float32(rng.uniform(0.1, 0.4))
    mix = (clouds(size, rng.uniform(0.3, 1.0) * min(size), rng) * np.float32(2)).clip(-1, 1)
    image = first + (second - first) * (mix[..., None] + 1) / 2
    pattern = texture(_plane(0, 0, size), rng.uniform(0.04, 0.3) * min(size), rng)
    if pattern is not None:
        image += pattern[..., None] * np.float32(rng.uniform(0.03, 0.09))
    zeros = np.zeros(size, dtype=np.int64)
    return Scene(image, zeros, zeros.copy(), zeros.copy()), [first, second]


def _places(
    rng: np.random.Generator,
    size: tuple[int, int],
    count: int,
    radius: tuple[float, float],
    *,
    taken: Sequence[Place],
    spacing: float,
) -> list[Place]:
    """Choose circles that are apart, the largest first, so that small objects are in front."""
    height, width = size
    radii = np.exp(rng.uniform(np.log(radius[0]), np.log(radius[1]), count)) * min(size)
    places: list[Place] = []
    for own in sorted(radii, reverse=True):
        for _ in range(20):
            inset = 0.75 * own
            x, y = rng.uniform(inset, width - inset), rng.uniform(inset, height - inset)
            others = [*taken, *places]
            if all(np.hypot(x - o.x, y - o.y) >= spacing * (own + o.radius) for o in others):
                places.append(Place(x, y, own))
                break
    return places


def _paint_object(
    scene: Scene,
    place: Place,
    ground: list[Floats],
    rng: np.random.Generator,
    without: tuple[int, int] | None,
) -> None:
    kind = int(rng.integers(len(BLUEPRINTS)))
    blueprint = BLUEPRINTS[kind]
    window, plane = _window(scene, place, rng.uniform(-blueprint.tilt, blueprint.tilt))
    label, own = kind + 1, len(scene.classes)
    scene.classes.append(label)
    labels = scene.labels[window]
    if blueprint.hull is not None:
        # A gap belongs to the object, but objects that are visible in it keep their label.
        labels[(blueprint.hull(plane) < 0) & (labels == 0)] = label
    colours: list[Floats] = []
    for part, distance in enumerate(blueprint.draw(plane, rng), FIRST_PART[kind]):
        colours.append(pick_colour(rng, [*ground, *colours]))
        if (own, part) == without:
            # Nothing is inside of it, but it takes the same random numbers.
            distance = np.full_like(distance, np.inf)
        inside = _paint(scene, window, distance * place.radius, colours[-1], rng)
        labels[inside] = label
        scene.parts[window][inside] = part
        scene.objects[window][inside] = own


def _paint_piece(
    scene: Scene, place: Place, ground: list[Floats], rng: np.random.Generator
) -> None:
    window, plane = _window(scene, place, rng.uniform(-np.pi, np.pi))
    distance = CLUTTER[int(rng.integers(len(CLUTTER)))](plane, rng)
    _paint(scene, window, distance * place.radius, pick_colour(rng, ground), rng)


def _window(scene: Scene, place: Place, angle: float) -> tuple[tuple[slice, slice], Plane]:
    """Return the part of the picture around a place, and its plane in units of the radius."""
    reach = place.radius + 1
    height, width = scene.labels.shape
    top, left = max(0, int(place.y - reach)), max(0, int(place.x - reach))
    bottom, right = min(height, int(place.y + reach) + 1), min(width, int(place.x + reach) + 1)
    x, y = _plane(left - place.x, top - place.y, (bottom - top, right - left))
    scale = np.float32(1 / place.radius)
    return (slice(top, bottom), slice(left, right)), turned((x * scale, y * scale), angle)


def _plane(left: float, top: float, size: tuple[int, int]) -> Plane:
    y, x = np.indices(size, dtype=np.float32)
    return x + np.float32(left + 0.5), y + np.float32(top + 0.5)


def _paint(
    scene: Scene,
    window: tuple[slice, slice],
    distance: Floats,
    colour: Floats,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Paint a figure given by its distance in pixels, and return the pixels it covers by half."""
    canvas = scene.image[window]
    pattern = texture(_plane(0, 0, canvas.shape[:2]), rng.uniform(4, 14), rng)
    strength = np.float32(rng.uniform(0.06, 0.14))
    paint = colour if pattern is None else colour + strength * pattern[..., None]
    cover = (np.float32(0.5) - distance).clip(0, 1)[..., None]
    canvas += cover * (paint - canvas)
    return distance < 0


def _light(image: Floats, rng: np.random.Generator) -> None:
    """Add light that decreases to one side, and the noise of a camera."""
    height, width = image.shape[:2]
    centred = _plane(-width / 2, -height / 2, (height, width))
    x, _ = turned(centred, rng.uniform(0, 2 * np.pi))
    fall = np.float32(rng.uniform(0.05, 0.2) / max(height, width))
    image *= (1 + fall * x + np.float32(rng.uniform(-0.08, 0.08)))[..., None]
    image += np.float32(0.02) * rng.standard_normal(image.shape, dtype=np.float32)
    image.clip(0, 1, out=image)
