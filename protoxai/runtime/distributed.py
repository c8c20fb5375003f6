"""The processes of a run: alone, or many under ``torchrun``."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, distributed


def is_distributed() -> bool:
    """Whether several processes work together."""
    return distributed.is_available() and distributed.is_initialized()


def rank() -> int:
    """Return the number of this process, 0 when alone."""
    return distributed.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Return how many processes work together, 1 when alone."""
    return distributed.get_world_size() if is_distributed() else 1


def join_processes() -> None:
    """Join the other processes, where ``torchrun`` started several; else do nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not is_distributed():
        device = own_device()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")


def own_device() -> torch.device:
    """Return the device of this process: its GPU where there are any, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def gather(value: Any) -> list[Any]:
    """Return every process's value, in the order of their numbers, on every process."""
    values: list[Any] = [value]
    if is_distributed():
        values = [None] * world_size()
        distributed.all_gather_object(values, value)
    return values


def mean_over_processes(total: Tensor, count: Tensor) -> Tensor:
    """Divide a sum over this process's items by the mean number of items a process has.

    Averaged over processes, as gradients are, that is the mean over all items of all processes,
    however unevenly they are spread.

    Args:
        total: scalar sum, with its gradient.
        count: scalar number (or weight) of the items, at least 0.

    Returns:
        Scalar; 0 where no process has an item.
    """
    if is_distributed():
        count = count.detach().clone()
        distributed.all_reduce(count)
        count = count / world_size()
    return total / torch.where(count > 0, count, 1)
