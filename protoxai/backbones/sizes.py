"""Which image sizes a network takes, found by trying them without computing anything.

Parameters and images live on torch's meta device, where only shapes are worked out.
"""

from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from protoxai.runtime.modes import evaluating


class SizeRule(NamedTuple):
    """The image sizes a network takes: multiples of `divisor`, or `image_size` alone."""

    divisor: int
    image_size: tuple[int, int] | None


def find_size_rule(
    module: nn.Module, reductions: Sequence[int], native: tuple[int, int]
) -> SizeRule:
    """The widest rule whose sizes pass through a network.

    Args:
        module: The network, called with images alone.
        reductions: Image pixels per map pixel of its levels: multiples likely to matter.
        native: Image (height, width) it was made for, for windows and positions tied to it.

    Returns:
        The rule; (1, None) where no trial passed, so that the network's own message reaches the
        user.
    """
    for divisor in sorted({1, 2, 4, 8, 16, 32, 64, *reductions, max(native)}):
        if passes(module, _awkward_size(divisor)):
            return SizeRule(divisor, None)
    return SizeRule(1, native if passes(module, native) else None)


def dry_run(module: nn.Module, height: int, width: int) -> Any:
    """Output of a network on the meta device, in evaluation mode, for one image."""
    tensors = {
        name: tensor.detach().to("meta")
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
    }
    dtype = next((t.dtype for t in tensors.values() if t.is_floating_point()), torch.float32)
    with evaluating(module), torch.no_grad(), torch.device("meta"):
        return functional_call(module, tensors, (torch.empty(1, 3, height, width, dtype=dtype),))


def passes(module: nn.Module, size: tuple[int, int]) -> bool:
    """Whether a network takes images of this (height, width)."""
    try:
        output = dry_run(module, *size)
    except Exception:  # networks refuse a size in whatever way they like
        return False
    maps = output.values() if isinstance(output, dict) else output
    return all(isinstance(features, Tensor) for features in maps)


def _awkward_size(divisor: int) -> tuple[int, int]:
    """Two sizes whose only small common factor is the divisor, large enough for any network."""
    smallest = 160
    primes = (n for n in count(3, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2)))
    height = next(prime for prime in primes if prime * divisor >= smallest)
    return height * divisor, next(primes) * divisor
