"""Gathering and adding up: each the other's gradient, on a CPU cheap in eager and compiled code.

Compilers fuse both into every loop that follows, and add up with one atomic operation for each
value; in a compiled graph PyTorch's own kernels stay operations of their own. The gradient of
large maps, of which few values were gathered, is memory only where it is written to.
"""

from __future__ import annotations

import math
import mmap
from typing import Any

import torch
from torch import Tensor

from protoxai.kernels.tiles import in_graph, in_one_piece

# Bytes; glibc keeps smaller memory for the next time.
LARGE = 1 << 25
# Python maps shared memory unless told otherwise: forked processes would write to it together.
PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


def gather(values: Tensor, dim: int, index: Tensor) -> Tensor:
    """Return ``values.gather(dim, index)``."""
    if in_one_piece(values):
        return values.gather(dim, index)
    taken: Tensor = _Gather.apply(values, dim, index)
    return taken


def add_up(values: Tensor, dim: int, index: Tensor, size: int) -> Tensor:
    """Return sums, ``size`` of them along a dimension: each value is added at its index."""
    run = _add_up_in_graph if in_graph(values) else _add_up
    sums: Tensor = run(values, dim, index, size)
    return sums


def _gather(values: Tensor, dim: int, index: Tensor) -> Tensor:
    return values.gather(dim, index)


def _add_up(values: Tensor, dim: int, index: Tensor, size: int) -> Tensor:
    shape = list(values.shape)
    shape[dim] = size
    return _zeros(values, shape).scatter_add_(dim, index, values)


def _zeros(like: Tensor, shape: list[int]) -> Tensor:
    """Return zeros that, if they are many, become memory only where they are written to.

    An allocator asks the system for large memory each time, which hands it out page by page.
    """
    size = math.prod(shape) * like.dtype.itemsize
    if size <= LARGE or like.device.type != "cpu" or in_one_piece(like):
        return like.new_zeros(shape)
    return torch.frombuffer(mmap.mmap(-1, size, **PRIVATE), dtype=like.dtype).view(shape)


_gather_in_graph = torch.library.custom_op("protoxai::gather", _gather, mutates_args=())
_add_up_in_graph = torch.library.custom_op("protoxai::add_up", _add_up, mutates_args=())


@_gather_in_graph.register_fake
def _(values: Tensor, dim: int, index: Tensor) -> Tensor:
    del dim
    return values.new_empty(index.shape)


@_add_up_in_graph.register_fake
def _(values: Tensor, dim: int, index: Tensor, size: int) -> Tensor:
    del index
    shape = list(values.shape)
    shape[dim] = size
    return values.new_empty(shape)


def _remember_index(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    ctx.save_for_backward(inputs[2])
    ctx.dim = inputs[1]


def _gather_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
    return _gather_in_graph(grad, ctx.dim, *ctx.saved_tensors), None, None, None


_add_up_in_graph.register_autograd(_gather_gradients, setup_context=_remember_index)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, dim: int, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.dim, ctx.size = dim, values.shape[dim]
        run = _gather_in_graph if in_graph(values) else _gather
        taken: Tensor = run(values, dim, index)
        return taken

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return add_up(grad, ctx.dim, index, ctx.size), None, None
