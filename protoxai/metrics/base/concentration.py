"""How concentrated a list of values is: Gini index, entropy, effective number."""

from __future__ import annotations

import torch
from torch import Tensor


def gini(values: Tensor) -> Tensor:
    """Return the Gini index over the last dimension: 0 where all are equal, 1 - 1/M where one is.

    ``1 - 2 sum_k x_(k) / |x|_1 (M - k + 1/2) / M`` with the absolute values ascending, k from 1
    (Hurley and Rickard, "Comparing measures of sparsity", IEEE Trans. Inf. Theory 2009).

    Args:
        values: (..., M), of any sign; their absolute values count.

    Returns:
        (...), in [0, 1 - 1/M]; NaN where all values are 0.

    Example:
        >>> import torch
        >>> gini(torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, -3.0]]))
        tensor([0.0000, 0.7500])
    """
    shares = _shares(values).sort(-1).values
    number = shares.shape[-1]
    steps = torch.arange(number, 0, -1, dtype=shares.dtype, device=shares.device) - 0.5
    return _like(1 - 2 * (shares * steps).sum(-1) / number, values)


def complexity(values: Tensor) -> Tensor:
    """Return the entropy (natural) over the last dimension of the values' shares in their sum.

    Bhatt et al., "Evaluating and aggregating feature-based model explanations", IJCAI 2020,
    section 4.

    Args:
        values: (..., M), of any sign; their absolute values count.

    Returns:
        (...), in [0, log M]; NaN where all values are 0.

    Example:
        >>> import torch
        >>> complexity(torch.tensor([[1.0, 1.0], [0.0, -3.0]]))
        tensor([0.6931, 0.0000])
    """
    return _like(_entropy(values), values)


def effective_number(values: Tensor) -> Tensor:
    """Return the exponential of the entropy: how many equal values would be as spread out.

    Args:
        values: (..., M), of any sign; their absolute values count.

    Returns:
        (...), in [1, M]; NaN where all values are 0.

    Example:
        >>> import torch
        >>> effective_number(torch.tensor([[2.0, 2.0, 0.0], [0.0, 5.0, 0.0]]))
        tensor([2.0000, 1.0000])
    """
    return _like(_entropy(values).exp(), values)


def _entropy(values: Tensor) -> Tensor:
    shares = _shares(values)
    # Of a single share of 1, `-0.0` would come.
    return -torch.xlogy(shares, shares).sum(-1) + 0.0


def _shares(values: Tensor) -> Tensor:
    sizes = values.double().abs()
    return sizes / sizes.sum(-1, keepdim=True)


def _like(result: Tensor, values: Tensor) -> Tensor:
    wide = values.dtype == torch.float64
    return result if wide else result.float()
