"""Tiles as small as wanted, and those that other devices would use, on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
from hypothesis import strategies as st
from torch import Tensor

from protoxai import tiles
from protoxai.tiles import Tiling

choose = Tiling.of


@dataclass(frozen=True)
class Tiles:
    """Most pixels and rows of a tile; with `elements`, the tiles of a device of that capacity."""

    pixels: int = tiles.TILE_PIXELS
    rows: int = tiles.TILE_ROWS
    elements: int | None = None

    @contextmanager
    def used(self) -> Iterator[None]:
        """Work through all maps in these tiles."""
        numbers = {"TILE_PIXELS": self.pixels, "TILE_ROWS": self.rows}
        if self.elements is None:
            with patch.multiple(tiles, **numbers):
                yield
            return

        def elsewhere(maps: Tensor) -> Tiling:
            return choose(torch.empty(maps.shape, device="meta"))

        with (
            patch.object(tiles, "DEVICE_ELEMENTS", self.elements),
            patch.object(Tiling, "of", elsewhere),
        ):
            yield


ON_CPU = st.builds(Tiles, st.integers(1, 5), st.integers(1, 5))
ELSEWHERE = st.builds(Tiles, elements=st.integers(1, 60))
ANY_TILES = st.just(Tiles()) | ON_CPU | ELSEWHERE
# One tile; several of a CPU, the last of them cut off; several of another device.
SOME_TILES = [Tiles(), Tiles(2, 3), Tiles(elements=20)]
