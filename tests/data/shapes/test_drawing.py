import numpy as np
import pytest

from protoxai.data.shapes import drawing

STEP = 0.01
AXIS = np.arange(-1.5, 1.5, STEP, dtype=np.float32) + np.float32(STEP / 2)
PLANE = tuple(np.meshgrid(AXIS, AXIS))


@pytest.mark.parametrize(
    ("distance", "area"),
    [
        (drawing.disc(PLANE, (0.2, -0.1), 0.8), np.pi * 0.64),
        (drawing.ring(PLANE, (0, 0), 0.8, 0.2), np.pi * (0.81 - 0.49)),
        (drawing.ellipse(PLANE, (0.1, 0), (0.9, 0.4)), np.pi * 0.36),
        (drawing.box(PLANE, (0.3, 0), (0.5, 0.25)), 0.5),
        (drawing.polygon(PLANE, [(-1, 0.5), (0, -0.5), (1, 0.5)]), 1.0),
        (drawing.box(drawing.turned(PLANE, 0.7), (0.3, 0), (0.5, 0.25)), 0.5),
        (drawing.disc(drawing.folded(PLANE, 5), (0.9, 0), 0.3), 5 * np.pi * 0.09),
    ],
)  # fmt: skip
def test_area_inside(distance, area):
    assert float((distance < 0).sum()) * STEP**2 == pytest.approx(area, rel=0.01)
    assert distance.dtype == np.float32


def test_distance_is_in_the_planes_unit():
    x, y = np.float32([[0.0, 2.0]]), np.float32([[0.0, 0.0]])
    assert drawing.disc((x, y), (0, 0), 0.5).tolist() == [[-0.5, 1.5]]
    assert drawing.box((x, y), (0, 0), (1, 3)).tolist() == [[-1, 1]]
    assert drawing.union(x, y, x - 1).tolist() == [[-1, 0]]
