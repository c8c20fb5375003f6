"""Full precision for the part of the model that explains, whatever the precision of the trunk."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import reduce

import torch
from einops import einsum
from torch import Tensor

FULL_PRECISION = ("ieee", "none")
"""Settings of ``torch.backends.*.matmul.fp32_precision`` that keep all bits of float32."""


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


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """Return a context that disables autocast on the tensor's device.

    Args:
        tensor: Any tensor on that device. The device "meta" has no autocast, so nothing is done.
    """
    if tensor.is_meta:
        return nullcontext()
    return torch.autocast(tensor.device.type, enabled=False)


def full_precision_einsum(first: Tensor, second: Tensor, pattern: str) -> Tensor:
    """Return a matrix product in no less than float32 precision, whatever the global settings.

    ``torch.set_float32_matmul_precision("high")`` and its relatives round the factors of float32
    products to 10 bits (TF32) or 7 (bfloat16). That suits a trunk, but it moves the distance of a
    projected prototype from its own patch from 0 to about 2e-4, enough to lose a tenth of the
    activation. Where such a setting is in force, the product and its gradients are computed in
    float64 instead. No setting is changed, so other threads and the trunk keep the user's.

    Compiled functions follow the settings in force when they are compiled, which they are again
    when those for CUDA change; exported ones follow those of the export.

    Args:
        first: Floating-point tensor.
        second: Tensor of the same type.
        pattern: Pattern of :func:`einops.einsum`.

    Returns:
        The product, of the type of the factors.

    Example:
        >>> import torch
        >>> full_precision_einsum(torch.ones(2, 3), torch.ones(3, 4), "i k, k j -> i j").shape
        torch.Size([2, 4])
    """
    if first.dtype == torch.float32 and _rounds_products(first.device.type):
        return einsum(first.double(), second.double(), pattern).float()
    product: Tensor = einsum(first, second, pattern)
    return product


def _rounds_products(device_type: str) -> bool:
    """Return whether the factors of float32 products may be rounded on a type of device."""
    # These are valid whether the user has set the old switches or the new ones.
    if device_type == "cuda":
        return torch.backends.cuda.matmul.fp32_precision not in FULL_PRECISION
    if device_type == "cpu":
        return torch.backends.mkldnn.matmul.fp32_precision not in FULL_PRECISION  # type: ignore[attr-defined]
    return False


# The mark of torch.compiler.assume_constant_result, which would load the compiler and so double the
# time of the import. A test holds that the mark is this one.
_rounds_products._dynamo_marked_constant = True  # type: ignore[attr-defined]
