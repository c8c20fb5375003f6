"""Shares of absolute values in their sum."""

from torch import Tensor

from protoxai.runtime.tensors import tensor


def shares(values: Tensor) -> Tensor:
    """Return the absolute values over their sum along the last dimension, in float64.

    Args:
        values: Values (..., M) of any sign.

    Returns:
        Shares (..., M) in [0, 1]; NaN where all values are 0.

    Example:
        >>> import torch
        >>> shares(torch.tensor([1.0, -3.0]))
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    tensor("values", values, "... values", "real numbers")
    sizes = values.double().abs()
    return sizes / sizes.sum(-1, keepdim=True)
