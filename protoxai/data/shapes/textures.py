"""Colours and textures of ``Shapes``, the same for all classes, so that neither identifies one."""

from collections.abc import Sequence

import numpy as np

from protoxai.data.shapes.drawing import Floats, Plane, turned

PAINTS = (
    np.array(
        [
            (232, 76, 61), (241, 148, 49), (247, 205, 70), (149, 201, 84), (46, 160, 103),
            (38, 166, 165), (72, 177, 235), (49, 104, 196), (52, 58, 130), (132, 80, 184),
            (222, 101, 178), (246, 172, 178), (138, 84, 52), (213, 180, 133), (248, 244, 232),
            (152, 160, 170), (88, 97, 112), (38, 40, 48),
        ],
        dtype=np.float32,
    )
    / 255
)  # fmt: skip
"""RGB colours (18, 3), in [0, 1]."""


def pick_colour(
    rng: np.random.Generator, avoid: Sequence[Floats], distance: float = 0.38
) -> Floats:
    """Choose a paint, slightly varied, that differs from the colours around it.

    Args:
        rng: Random number generator.
        avoid: Colours (3,) around it.
        distance: Smallest Euclidean RGB distance to them; if no paint has it, the farthest is
            chosen.

    Returns:
        Colour (3,), float32, in [0, 1].
    """
    paints = rng.permutation(PAINTS) + rng.uniform(-0.04, 0.04, PAINTS.shape).astype(np.float32)
    gaps = np.full(len(paints), np.inf)
    for colour in avoid:
        gaps = np.minimum(gaps, np.linalg.norm(paints - colour, axis=1))
    far = gaps >= distance
    chosen: Floats = paints[far.argmax() if far.any() else gaps.argmax()]
    return chosen.clip(0, 1)


def texture(plane: Plane, period: float, rng: np.random.Generator) -> Floats | None:
    """Return a random pattern: stripes, dots, checks or cloudy noise, or None for plain paint.

    Args:
        plane: Coordinates in pixels.
        period: Period of the pattern, in pixels.
        rng: Random number generator.

    Returns:
        Pattern of the plane's shape, float32, in [-1, 1].
    """
    kind = rng.choice(
        ("plain", "stripes", "dots", "checks", "clouds"), p=(0.3, 0.2, 0.15, 0.1, 0.25)
    )
    if kind == "plain":
        return None
    if kind == "clouds":
        return clouds(plane[0].shape, period, rng)
    x, y = turned(plane, rng.uniform(0, np.pi))
    frequency = np.float32(2 * np.pi / period)
    waves = np.sin(x * frequency)
    if kind != "stripes":
        waves *= np.sin(y * frequency)
    pattern: Floats = 4 * waves - np.float32(1.2 if kind == "dots" else 0)
    return pattern.clip(-1, 1)


def clouds(shape: tuple[int, ...], period: float, rng: np.random.Generator) -> Floats:
    """Return smooth noise: random values on a coarse grid, interpolated bilinearly.

    Args:
        shape: Height and width in pixels.
        period: Spacing of the grid, in pixels.
        rng: Random number generator.

    Returns:
        Noise (height, width), float32, in [-1, 1].
    """
    blends = []
    for length in shape:
        position = np.arange(length, dtype=np.float32) / np.float32(period)
        knots = np.arange(int(position[-1]) + 2, dtype=np.float32)
        blends.append(np.maximum(0, 1 - np.abs(position[:, None] - knots)))
    grid = rng.uniform(-1, 1, (blends[0].shape[1], blends[1].shape[1])).astype(np.float32)
    noise: Floats = blends[0] @ grid @ blends[1].T
    return noise
