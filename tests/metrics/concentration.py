"""What the tests of Gini index, entropy and effective number share."""

from collections.abc import Callable

import torch
from hypothesis import strategies as st
from torch import Tensor

from protoxai.metrics import PerImageMetric

LISTS = st.lists(st.floats(-9, 9), min_size=1, max_size=8).filter(
    lambda values: max(map(abs, values)) > 1e-3
)


def check_invariance(
    function: Callable[[Tensor], Tensor], values: list[float], factor: float, data: st.DataObject
) -> None:
    """Neither a factor nor the sign nor the order of the values matters."""
    rows = torch.tensor(values, dtype=torch.float64)
    order = torch.tensor(data.draw(st.permutations(range(len(rows)))))
    torch.testing.assert_close(function(-factor * rows[order]), function(rows))


def measured(metric: PerImageMetric, values: Tensor) -> float:
    metric.update(values)
    return float(metric.compute())
