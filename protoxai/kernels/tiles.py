"""Process large maps tile by tile, for the same results in less time and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

Pixelwise = Callable[[Tensor], tuple[Tensor, ...]]

# Elements per tile: on a CPU about what stays in its cache between operations, on other devices
# enough to keep them busy.
CPU_TILE = 1 << 20
DEVICE_TILE = 1 << 25
# Below this number of pixels, the calls for a tile cost more than the tile saves.
LEAST_PIXELS = 64
# Maps of at most this many tiles are computed in one piece.
FEW_TILES = 8

_TILED: ContextVar[bool] = ContextVar("tiled", default=True)


@contextmanager
def untiled() -> Iterator[None]:
    """Temporarily compute maps of any size in one piece, by the plain formulas alone.

    Example:
        >>> import torch
        >>> with untiled():
        ...     by_pixels(lambda tile: (tile.exp(),), torch.zeros(1, 2, 4, 4), 2)[0].shape
        torch.Size([1, 2, 4, 4])
    """
    token = _TILED.set(False)
    try:
        yield
    finally:
        _TILED.reset(token)


def by_pixels(
    function: Pixelwise, maps: Tensor, channels: int, *, always: bool = False
) -> tuple[Tensor, ...]:
    """Apply a function that treats each pixel independently, tile by tile if the maps are large.

    A tile stays in the cache between operations. When gradients are recorded, the backward pass
    recomputes each tile (:func:`torch.utils.checkpoint.checkpoint`), so that none of the function's
    intermediate maps is kept.

    Compilers and exporters see the function in one piece, and so do reverse-mode transforms of
    :mod:`torch.func`, which do not support checkpoints.

    Args:
        function: Function of a tile (B, ..., h', w') that returns maps of the same pixels.
        maps: Maps (B, ..., h, w).
        channels: Number of channels of the largest map that the function computes.
        always: Whether to tile maps of a few tiles, too.

    Returns:
        The function's maps (B, ..., h, w).
    """
    *_, height, width = maps.shape
    if torch.compiler.is_compiling() or not _TILED.get():
        return function(maps)
    budget = CPU_TILE * torch.get_num_threads() if maps.device.type == "cpu" else DEVICE_TILE
    per_pixel = max(len(maps) * channels, 1)
    few = 1 if always else FEW_TILES
    if per_pixel * height * width <= few * budget:
        return function(maps)
    recorded = torch.is_grad_enabled()
    if recorded and not _checkpoints_work():
        return function(maps)
    pixels = max(budget // per_pixel, LEAST_PIXELS)
    tiles = maps.flatten(-2)[..., None, :].split(pixels, -1)
    if recorded:
        parts = [
            checkpoint(function, tile, use_reentrant=False, preserve_rng_state=False)
            for tile in tiles
        ]
    else:
        parts = [function(tile) for tile in tiles]
    joined = (torch.cat(of_tiles, -1) for of_tiles in zip(*parts, strict=True))
    return tuple(result.reshape(*result.shape[:-2], height, width) for result in joined)


def _checkpoints_work() -> bool:
    try:
        with saved_tensors_hooks(_unchanged, _unchanged):
            return True
    except RuntimeError:  # torch.func refuses them.
        return False


def _unchanged(value: Tensor) -> Tensor:
    return value
