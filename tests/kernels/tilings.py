"""Tiles as small as wanted, and those that other devices would use, on a CPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

import torch
from hypothesis import strategies as st
from torch import Tensor

from protoxai.kernels import tiles
from protoxai.kernels.tiles import Tiling

WAYS = {name: getattr(Tiling, name) for name in ("of", "of_whole_maps")}


@dataclass(frozen=True)
class Tiles:
    """Most pixels and rows of a tile; with `elements`, the tiles of a device of that capacity."""

    pixels: int = tiles.TILE_PIXELS
    rows: int = tiles.TILE_ROWS
    elements: int | None = None

    @contextmanager
    def used(self) -> Iterator[None]:
        """Work through all maps in these tiles."""
        if self.elements is None:
            least = min(self.rows, tiles.LEAST_ROWS)
            numbers = {"TILE_PIXELS": self.pixels, "TILE_ROWS": self.rows, "LEAST_ROWS": least}
            with patch.multiple(tiles, **numbers):
                yield
            return
        elsewhere = {name: partial(_as_elsewhere, way) for name, way in WAYS.items()}
        with (
            patch.object(tiles, "DEVICE_ELEMENTS", self.elements),
            patch.multiple(Tiling, **elsewhere),
        ):
            yield


def _as_elsewhere(way: Callable[[Tensor], Tiling], maps: Tensor) -> Tiling:
    with patch.multiple(Tiling, **WAYS):
        return way(torch.empty(maps.shape, device="meta"))


ON_CPU = st.builds(Tiles, st.integers(1, 5), st.integers(1, 5))
ELSEWHERE = st.builds(Tiles, elements=st.integers(1, 60))
ANY_TILES = st.just(Tiles()) | ON_CPU | ELSEWHERE
# One tile; several of a CPU, the last of them cut off; several of another device.
SOME_TILES = [Tiles(), Tiles(2, 3), Tiles(elements=20)]
