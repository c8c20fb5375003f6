"""The image sizes that a network takes, determined by trials without computation.

Parameters and images are on torch's meta device, which only computes shapes.
"""

from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from protoxai.runtime.modes import evaluating


class SizeRule(NamedTuple):
    """The image sizes that a network takes.

    Attributes:
        divisor: Number that height and width are multiples of.
        image_size: Height and width of the images, if the network takes only one size.
    """

    divisor: int
    image_size: tuple[int, int] | None


def find_size_rule(
    module: nn.Module, reductions: Sequence[int], native: tuple[int, int]
) -> SizeRule:
    """Return the most general rule whose sizes pass through a network.

    Args:
        module: Network that takes images only.
        reductions: Image pixels per map pixel of its levels, which may be divisors.
        native: Image height and width that it was made for, in case it takes no other.

    Returns:
        The rule; (1, None) if no trial passed, so that the network's own message is raised when
        it is used.
    """
    for divisor in sorted({1, 2, 4, 8, 16, 32, 64, *reductions, max(native)}):
        if passes(module, _coprime_size(divisor)):
            return SizeRule(divisor, None)
    return SizeRule(1, native if passes(module, native) else None)


def dry_run(module: nn.Module, height: int, width: int) -> Any:
    """Run a network on one image on the meta device, in evaluation mode, and return its output.

    Args:
        module: Network that takes images only.
        height: Height of the image.
        width: Width of the image.
    """
    tensors = {
        name: tensor.detach().to("meta")
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
    }
    dtype = next((t.dtype for t in tensors.values() if t.is_floating_point()), torch.float32)
    with evaluating(module), torch.no_grad(), torch.device("meta"):
        return functional_call(module, tensors, (torch.empty(1, 3, height, width, dtype=dtype),))


def passes(module: nn.Module, size: tuple[int, int]) -> bool:
    """Return whether a network takes images of a size.

    Args:
        module: Network that takes images only.
        size: Height and width of the images.
    """
    try:
        output = dry_run(module, *size)
    except Exception:  # networks raise errors of any type for a wrong size
        return False
    maps = output.values() if isinstance(output, dict) else output
    return all(isinstance(features, Tensor) for features in maps)


def _coprime_size(divisor: int) -> tuple[int, int]:
    """Return a height and a width, large for any network, with only this factor in common."""
    smallest = 160
    primes = (n for n in count(3, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2)))
    height = next(prime for prime in primes if prime * divisor >= smallest)
    return height * divisor, next(primes) * divisor
