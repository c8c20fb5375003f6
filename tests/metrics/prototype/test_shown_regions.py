import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoxai.metrics.prototype.shown_regions import box_overlaps, control_areas, shown_regions
from protoxai.prototypes.provenance import Box

EDGES = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 6), st.integers(1, 6))
BOXES = EDGES.map(lambda e: (e[0], e[1], min(e[0] + e[2], 9), min(e[1] + e[3], 9)))


@settings(max_examples=60, deadline=None)
@given(first=BOXES, second=BOXES)
def test_overlaps_agree_with_sets_of_pixels(first: Box, second: Box) -> None:
    one, other = (
        {(r, c) for r in range(top, bottom) for c in range(left, right)}
        for top, left, bottom, right in (first, second)
    )
    expected = len(one & other) / len(one | other)
    assert float(box_overlaps([first], [second])) == expected


def test_the_region_is_around_the_peak_within_the_class() -> None:
    own_class = torch.zeros(16, 16, dtype=torch.bool)
    own_class[:, :8] = True
    maps = torch.zeros(2, 4, 4)
    maps[0, 1, 0], maps[0, 1, 3] = 5, 9
    maps[1, 3, 1] = 5
    found = shown_regions(maps, own_class)
    assert (found.rows.tolist(), found.cols.tolist()) == ([1, 3], [0, 1])
    for mask, (row, col) in zip(found.masks((16, 16)), [(1, 0), (3, 1)], strict=True):
        assert bool(mask[4 * row : 4 * row + 4, 4 * col : 4 * col + 4].all())
        # 5 % of the class is little more than the patch.
        assert 16 <= int(mask.sum()) <= 64


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_control_areas_are_as_large_as_regions_and_outside_of_them(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    own_class = torch.rand(9, 11, generator=generator) > 0.4
    shown = torch.zeros(2, 9, 11, dtype=torch.bool)
    shown[0, 2:5, 3:6] = shown[1, :, :6] = True
    areas = control_areas(shown, own_class, seed)
    for area, region in zip(areas, shown, strict=True):
        outside = own_class & ~region
        fits = int(outside.sum()) >= int(region.sum())
        assert int(area.sum()) == fits * int(region.sum())
        assert not bool((area & ~outside).any())
        if fits:
            # Some pixel of the area has no pixel outside of it nearer than the area's farthest.
            pixels, others = area.nonzero(), (outside & ~area).nonzero()
            inner = (pixels[:, None] - pixels).square().sum(2).amax(1)
            outer = (pixels[:, None] - others).square().sum(2)
            assert bool((outer >= inner[:, None]).all(1).any())
    assert torch.equal(areas, control_areas(shown, own_class, seed))
