from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoxai.metrics.prototype.patch_contents import NOTHING, patch_contents
from protoxai.projection.active_region import patch_box


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    grid=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 10_000),
)
def test_contents_agree_with_a_loop_over_the_boxes(
    size: tuple[int, int], grid: tuple[int, int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(4, size, generator=generator)
    counted = torch.rand(size, generator=generator) > 0.4
    contents = patch_contents(values, counted, grid)
    for row in range(grid[0]):
        for col in range(grid[1]):
            top, left, bottom, right = patch_box(row, col, grid, size)
            box = [
                int(values[r, c])
                for r in range(top, bottom)
                for c in range(left, right)
                if counted[r, c]
            ]
            numbers = Counter(box)
            most = max(numbers.values(), default=0)
            expected = min((v for v in numbers if numbers[v] == most), default=NOTHING)
            assert int(contents[row, col]) == expected
