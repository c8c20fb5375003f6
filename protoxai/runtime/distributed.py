"""The processes of a run: a single one, or several under ``torchrun`` or Slurm's ``srun``."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from protoxai.runtime.launchers import REQUIRED, read_launcher

T = TypeVar("T")


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
    """Work in a process group while the block runs, where several processes were started together.

    They are recognised by the variables that ``torchrun`` sets, or those of the tasks of ``srun``.
    The group is destroyed on every way out: threads of a live group abort the interpreter at exit.
    A group that exists already belongs to the caller and is used as it is, so blocks may be nested.
    All processes reach the end of the outermost block before any of them leaves, so that the first
    process may still write its results there.

    Example:
        >>> with process_group():
        ...     gather(rank())
        [0]

    Raises:
        ValueError: If the variables do not fit together, a process has no GPU where others have, or
            two processes have the same one.
        ConnectionError: If the processes cannot reach each other.
    """
    if is_distributed() or read_launcher() == 1:
        yield
        return
    device = own_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    _connect("nccl" if device.type == "cuda" else "gloo")
    try:
        if device.type == "cuda":
            check_own_gpus()
        yield
        # After an error the others may be anywhere, and waiting for them could last forever.
        distributed.barrier(device_ids=[device.index] if device.type == "cuda" else None)
    finally:
        distributed.destroy_process_group()


def own_device() -> torch.device:
    """Return the device of this process: its own GPU if there is any, otherwise the CPU.

    Raises:
        ValueError: If more processes were started on this host than it has GPUs.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= count:
        raise ValueError(
            f"LOCAL_RANK is {number}, but this process sees {count} GPUs: start at most one "
            "process per GPU on each host"
        )
    return torch.device("cuda", number)


def own_gpu() -> tuple[str, str]:
    """Return the name of this host and the UUID of this process's GPU."""
    return socket.gethostname(), str(torch.cuda.get_device_properties(own_device()).uuid)


def check_own_gpus(identify: Callable[[], tuple[str, str]] = own_gpu) -> None:
    """Check that no two processes of the group have the same GPU.

    NCCL would fail at its first collective, whatever that is. So the processes learn about each
    other's GPUs from the store by which they have met.

    Args:
        identify: Function that returns the host and the UUID of this process's GPU.

    Raises:
        ValueError: If two processes have the same GPU; all processes raise it.
    """
    store = distributed.distributed_c10d._get_default_store()
    processes = range(world_size())
    store.set(f"gpu/{rank()}", " ".join(identify()))
    gpus = [gpu.decode() for gpu in store.multi_get([f"gpu/{each}" for each in processes])]
    store.set(f"gpu/read/{rank()}", "")
    if rank() == 0:
        # The store may be in this process, and has to last until all have read.
        store.wait([f"gpu/read/{each}" for each in processes])
    for gpu in gpus:
        if gpus.count(gpu) > 1:
            sharing = ", ".join(str(each) for each in processes if gpus[each] == gpu)
            host, uuid = gpu.split()
            raise ValueError(
                f"the processes {sharing} have the same GPU ({uuid} of {host}): start at most one "
                "process per GPU, each of which sees either a GPU of its own (srun "
                "--gpus-per-task=1) or all of the host's (CUDA_VISIBLE_DEVICES unset)"
            )


def _connect(backend: str) -> None:
    """Begin the process group."""
    try:
        distributed.init_process_group(backend)
    except distributed.DistError as error:
        number, count, host, port = (os.environ[name] for name in REQUIRED)
        reason = str(error).partition("\n")[0]
        raise ConnectionError(
            f"process {number} of {count} cannot join the others at {host}:{port} ({reason}): "
            "check that all run and reach that host, or set MASTER_PORT to a free port of it"
        ) from error


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


def share_buffers(module: nn.Module) -> None:
    """Give every process the buffers of the first one, such as statistics of batches.

    ``DistributedDataParallel`` does so before each forward pass, so that they differ after it.

    Args:
        module: Module that all processes have, changed in place.
    """
    if is_distributed():
        for buffer in module.buffers():
            distributed.broadcast(buffer, 0)


class ProcessError(RuntimeError):
    """Another process of the run has failed, with the error in the message."""


def gather_results(work: Callable[[], T]) -> list[T]:
    """Run a function in every process, and return the results of all to every process.

    If it fails in any of them, all raise an error, so that none waits for the others.

    Args:
        work: Function that returns an object that can be pickled.

    Raises:
        ProcessError: If the function has failed in another process, but not in this one.

    Example:
        >>> gather_results(lambda: rank())
        [0]
    """
    results, failure = [], None
    try:
        results.append(work())
    except Exception as error:
        failure = error
    shares = gather((results, None if failure is None else f"{type(failure).__name__}: {failure}"))
    if failure is not None:
        raise failure
    for process, (_, reason) in enumerate(shares):
        if reason is not None:
            raise ProcessError(f"process {process} has failed ({reason})")
    return [result for (result,), _ in shares]


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
