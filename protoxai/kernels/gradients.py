"""For functions with a gradient of their own: gradients of gradients, gradients only if needed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def plain_gradients(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    needed: Sequence[bool],
    incoming: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Differentiate a plain formulation of a function, such that the gradient has one in turn.

    Args:
        outputs: of the plain formulation, computed from the inputs with a graph.
        inputs: of the function.
        needed: which inputs need a gradient.
        incoming: gradient of each output, None where it has none.

    Returns:
        Gradient of each input, None where it needs none.
    """
    pairs = [(out, grad) for out, grad in zip(outputs, incoming, strict=True) if grad is not None]
    wanted = [x for x, need in zip(inputs, needed, strict=True) if need]
    found = torch.autograd.grad(
        [out for out, _ in pairs], wanted, [grad for _, grad in pairs], create_graph=True
    )
    return placed(found, needed)


def shaped(found: Sequence[Tensor | None], inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return those gradients that there are, in the shapes of their inputs, contiguous."""
    pairs = zip(found, inputs, strict=True)
    return [grad.reshape(x.shape).contiguous() for grad, x in pairs if grad is not None]


def placed(found: Sequence[Tensor], needed: Sequence[bool]) -> list[Tensor | None]:
    """Return the gradient of each input, None where it needs none, of those that do."""
    left = iter(found)
    return [next(left) if need else None for need in needed]
