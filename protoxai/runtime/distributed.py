"""The processes of a run: a single one, or several under ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed


def is_distributed() -> bool:
    """Return whether several processes work together."""
    return distributed.is_available() and distributed.is_initialized()


def rank() -> int:
    """Return the number of this process, 0 without a process group."""
    return distributed.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Return the number of processes that work together, 1 without a process group."""
    return distributed.get_world_size() if is_distributed() else 1


@contextmanager
def process_group() -> Iterator[None]:
    """Work in a process group while the block runs, where ``torchrun`` started several processes.

    The group is destroyed on every way out: threads of a live group abort the interpreter at exit.
    A group that exists already belongs to the caller and is used as it is, so blocks may be nested.
    All processes reach the end of the outermost block before any of them leaves, so that the first
    process may still write its results there.

    Example:
        >>> with process_group():
        ...     gather(rank())
        [0]
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or is_distributed():
        yield
        return
    device = own_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
        # After an error the others may be anywhere, and waiting for them could last forever.
        distributed.barrier(device_ids=[device.index] if device.type == "cuda" else None)
    finally:
        distributed.destroy_process_group()


def own_device() -> torch.device:
    """Return the device of this process: its own GPU if there is any, otherwise the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def gather(value: Any) -> list[Any]:
    """Return the values of all processes, in the order of their numbers, to every process.

    Args:
        value: The value of this process; any object that can be pickled.
    """
    values: list[Any] = [value]
    if is_distributed():
        values = [None] * world_size()
        distributed.all_gather_object(values, value)
    return values


def mean_over_processes(total: Tensor, count: Tensor) -> Tensor:
    """Divide a sum over this process's items by the mean number of items a process has.

    Averaged over processes, as gradients are, the result is the mean over the items of all
    processes, however unevenly they are spread.

    Args:
        total: Scalar sum, with its gradient.
        count: Scalar number (or weight) of the items, at least 0.

    Returns:
        A scalar, 0 if no process has an item.
    """
    if is_distributed():
        count = count.detach().clone()
        distributed.all_reduce(count)
        count = count / world_size()
    return total / torch.where(count > 0, count, 1)
