"""Cost of an explanation: passes through the model, time and memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from protoxai.attribution.target import logits_of


@dataclass(frozen=True)
class Cost:
    """Cost of explaining a batch; divide by its number of images for one explanation's.

    Attributes:
        forward_passes: Number of images sent through the model; a pass of two counts as two.
        backward_passes: Number of images whose logits were differentiated.
        seconds: Wall-clock time.
        peak_memory: Largest number of bytes allocated at once beyond those at the start; None on
            the CPU, where PyTorch does not record it.
    """

    forward_passes: int
    backward_passes: int
    seconds: float
    peak_memory: int | None


class Meter:
    """Context manager that measures the cost of using a model.

    Args:
        model: Model to watch.
        device: Device of the model.

    Attributes:
        cost: The :class:`Cost`, available at the end of the context.

    Example:
        >>> import torch
        >>> model = torch.nn.Conv2d(3, 5, 1)
        >>> with Meter(model, torch.device("cpu")) as meter:
        ...     model(torch.rand(2, 3, 8, 8)).sum().backward()
        >>> meter.cost.forward_passes, meter.cost.backward_passes
        (2, 2)
    """

    cost: Cost

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._forward = 0
        self._backward = 0

    def __enter__(self) -> Self:
        self._hook = self._model.register_forward_hook(self._after_forward)
        if self._on_gpu:
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            self._allocated = torch.cuda.memory_allocated(self._device)
        self._start = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hook.remove()
        memory = None
        if self._on_gpu:
            torch.cuda.synchronize(self._device)
            memory = torch.cuda.max_memory_allocated(self._device) - self._allocated
        seconds = time.perf_counter() - self._start
        self.cost = Cost(self._forward, self._backward, seconds, memory)

    @property
    def _on_gpu(self) -> bool:
        return self._device.type == "cuda"

    def _after_forward(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        logits = logits_of(output)
        self._forward += len(logits)
        if logits.requires_grad:
            logits.register_hook(self._after_backward)

    def _after_backward(self, gradient: Tensor) -> None:
        self._backward += len(gradient)
