"""Tiles as small as a test needs them."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from protoxai.kernels import tiles


@contextmanager
def small_tiles(elements: int = 20, least_pixels: int = 2) -> Iterator[None]:
    """Divide maps of any size into tiles of about so many elements."""
    numbers = {
        "CPU_TILE": elements,
        "DEVICE_TILE": elements,
        "LEAST_PIXELS": least_pixels,
        "FEW_TILES": 1,
    }
    with patch.multiple(tiles, **numbers):
        yield
