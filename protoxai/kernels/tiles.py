"""Tiles: parts of large maps, small enough to stay in the processor's cache between operations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

TILE_PIXELS = 1024
TILE_ROWS = 256
LEAST_ROWS = 16
DEVICE_ELEMENTS = 1 << 25


def in_graph(maps: Tensor) -> bool:
    """Whether a graph is traced in which all tiles together are an operation of its own.

    Exported graphs have to run without this library; other devices fuse what is plain.
    """
    compiling = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
    return compiling and maps.device.type == "cpu" and not transformed()


def in_one_piece(maps: Tensor) -> bool:
    """Whether to do without tiles: torch.func, exporters and other devices want it plain."""
    return transformed() or (torch.compiler.is_compiling() and not in_graph(maps))


def transformed() -> bool:
    """Whether a transform of torch.func is at work."""
    # No public function tells.
    return torch._C._are_functorch_transforms_active()


# A compiler asks while it traces, and keeps the answer in the graph. torch.compiler has a function
# to say so, which would load the compiler with this library.
transformed.__dict__["_dynamo_marked_constant"] = True


@dataclass(frozen=True)
class Tiling:
    """How maps (B, any number of rows, n pixels) are worked through, part by part.

    A map of all prototypes is far larger than a cache. Where each of several operations in a row
    goes through all of it, they wait for memory; where all of them go through a tile before the
    next tile comes, they do not.

    Attributes:
        batch: images B.
        pixels: pixels n of a map.
        images: of one tile.
        span: pixels of one tile.
        rows: most rows of one tile.
    """

    batch: int
    pixels: int
    images: int
    span: int
    rows: int

    @classmethod
    def of(cls, maps: Tensor) -> Tiling:
        """Return the tiling for maps (B, ..., n) on their device.

        On a CPU a tile is about a megabyte for each thread; other devices want few, large ones.
        """
        batch, pixels = maps.shape[0], maps.shape[-1]
        if maps.device.type == "cpu":
            return cls(batch, pixels, 1, TILE_PIXELS * torch.get_num_threads(), TILE_ROWS)
        rows = max(DEVICE_ELEMENTS // max(batch * pixels, 1), 1)
        return cls(batch, pixels, max(batch, 1), max(pixels, 1), rows)

    @classmethod
    def of_whole_maps(cls, maps: Tensor) -> Tiling:
        """Return the tiling in which a tile has all pixels of some maps: it is contiguous."""
        tiling = cls.of(maps)
        if maps.device.type != "cpu":
            return tiling
        elements = 2 * TILE_PIXELS * torch.get_num_threads() * TILE_ROWS
        pixels = max(tiling.pixels, 1)
        return replace(tiling, span=pixels, rows=max(elements // pixels, LEAST_ROWS))

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """Go through the images and the pixels of the tiles."""
        for image in range(0, self.batch, self.images):
            for start in range(0, self.pixels, self.span):
                yield slice(image, image + self.images), slice(start, start + self.span)


class Workspace:
    """Memory that every tile uses again.

    Operating systems hand out memory page by page, when it is first written to. For results of
    about a megabyte, over and over, that takes longer than to compute them.

    Args:
        like: a tensor of the type and on the device of all memory.
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._memory: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """Return a tensor to write to, with the memory that bore the name before."""
        size = math.prod(shape)
        if name not in self._memory or len(self._memory[name]) < size:
            self._memory[name] = self._like.new_empty(size)
        return self._memory[name][:size].view(shape)
