"""Gathering and adding up, as a compiler should see them.

Compilers add up at indices with one atomic operation for each value, several times slower than
PyTorch's own kernel on a CPU. In a compiled graph that kernel stays an operation of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def gather(values: Tensor, dim: int, index: Tensor) -> Tensor:
    """Return ``values.gather(dim, index)``."""
    if torch.compiler.is_compiling():
        taken: Tensor = _Gather.apply(values, dim, index)
        return taken
    return values.gather(dim, index)


def add_up(values: Tensor, dim: int, index: Tensor, size: int) -> Tensor:
    """Return sums, ``size`` of them along a dimension: each value is added at its index."""
    if torch.compiler.is_compiling():
        sums: Tensor = _AddUp.apply(values, dim, index, size)
        return sums
    return _add_up(values, dim, index, size)


def _add_up(values: Tensor, dim: int, index: Tensor, size: int) -> Tensor:
    shape = list(values.shape)
    shape[dim] = size
    return values.new_zeros(shape).scatter_add_(dim, index, values)


_add_up_in_graph = torch.library.custom_op("protoxai::add_up", _add_up, mutates_args=())


@_add_up_in_graph.register_fake
def _(values: Tensor, dim: int, index: Tensor, size: int) -> Tensor:
    del index
    shape = list(values.shape)
    shape[dim] = size
    return values.new_empty(shape)


def _gather(values: Tensor, dim: int, index: Tensor) -> Tensor:
    return values.gather(dim, index)


_gather_in_graph = torch.library.custom_op("protoxai::gather", _gather, mutates_args=())


@_gather_in_graph.register_fake
def _(values: Tensor, dim: int, index: Tensor) -> Tensor:
    del dim
    return values.new_empty(index.shape)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, dim: int, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.dim, ctx.size = dim, values.shape[dim]
        taken: Tensor = _gather_in_graph(values, dim, index)
        return taken

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return _add_up_in_graph(grad, ctx.dim, index, ctx.size), None, None


class _AddUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, dim: int, index: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(index)
        ctx.dim = dim
        sums: Tensor = _add_up_in_graph(values, dim, index, size)
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (index,) = ctx.saved_tensors
        return _gather_in_graph(grad, ctx.dim, index), None, None, None
