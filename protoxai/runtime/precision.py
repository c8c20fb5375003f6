"""Full precision for the part of the model that explains, whatever the precision of the trunk."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor


def widen(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Cast floating-point tensors to their common type, at least float32.

    In half precision an exact prototype hit (distance 0) loses its activation, so distances,
    activations, group scores and losses are computed in float32 or wider.

    Args:
        *tensors: Floating-point tensors of any shape.

    Returns:
        The tensors, all of the widest type among theirs and float32.

    Example:
        >>> import torch
        >>> [t.dtype for t in widen(torch.zeros(1).half(), torch.zeros(1).double())]
        [torch.float64, torch.float64]
    """
    dtype = reduce(torch.promote_types, (t.dtype for t in tensors), torch.float32)
    return tuple(t.to(dtype) for t in tensors)


def without_autocast(tensor: Tensor) -> torch.autocast:
    """Return a context that disables autocast on the tensor's device.

    Args:
        tensor: Any tensor on that device.
    """
    return torch.autocast(tensor.device.type, enabled=False)
