"""Shares of values in their sum."""

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


def excess_share(values: Tensor, inside: Tensor) -> Tensor:
    """Return the share of the values' sum that lies inside, minus the share that chance has there.

    Args:
        values: Values (B, M), at least 0.
        inside: Entries that count, bool (B, M).

    Returns:
        Differences (B,) in (-1, 1), float64; NaN where all values are 0.

    Example:
        >>> import torch
        >>> excess_share(torch.tensor([[3.0, 1.0]]), torch.tensor([[True, False]]))
        tensor([0.2500], dtype=torch.float64)
    """
    wide = values.double()
    return (wide * inside).sum(1) / wide.sum(1) - inside.double().mean(1)
