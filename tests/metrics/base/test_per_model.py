from typing import ClassVar, NamedTuple

import pytest
import torch
from torch import Tensor

from protoxai.metrics import ModelMetric


class Sizes(NamedTuple):
    weights: Tensor


class WeightSizes(ModelMetric):
    figures: ClassVar = {"weights": False}
    higher_is_better = False

    def __init__(self, power: int = 1, **options) -> None:
        super().__init__(**options)
        self.power = power

    def update(self, layer: torch.nn.Linear) -> None:
        self._measured = Sizes(layer.weight.detach().abs() ** self.power)


def test_the_last_update_counts_and_values_are_means() -> None:
    metric, layer = WeightSizes(power=2), torch.nn.Linear(2, 1)
    metric.update(layer)
    layer.weight.data = torch.tensor([[3.0, torch.nan]])
    metric.update(layer)
    assert metric.values() == {"weights": 9}


def test_nothing_measured_is_an_error() -> None:
    metric = WeightSizes()
    with pytest.warns(UserWarning, match="before"), pytest.raises(ValueError, match="call update"):
        metric.compute()


def test_repr_reproduces_the_call() -> None:
    assert repr(WeightSizes(power=3)) == "WeightSizes(power=3)"
    assert repr(WeightSizes()) == "WeightSizes(power=1)"
