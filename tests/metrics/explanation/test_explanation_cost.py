import pytest
import torch

from protoxai.attribution import CaptumAttribution, Cost
from protoxai.metrics import ExplanationCost


def test_by_hand() -> None:
    metric = ExplanationCost()
    metric.update(Cost(6, 2, seconds=1.0, peak_memory=None), index=[0, 1])
    metric.update(Cost(5, 0, seconds=2.0, peak_memory=64), index=2)
    found = metric.compute()
    assert found["forward_passes"].mean == pytest.approx((3 + 3 + 5) / 3)
    assert found["backward_passes"].mean == pytest.approx(2 / 3)
    assert found["seconds"].mean == pytest.approx(1)
    assert found["peak_memory"].mean == 64
    assert found["peak_memory"].undefined == 2
    assert metric.higher_is_better is False
    assert set(metric.figures.values()) == {False}


def test_an_explanation_takes_as_many_passes_alone_as_in_a_batch() -> None:
    method = CaptumAttribution("IntegratedGradients", torch.nn.Conv2d(3, 2, 1), n_steps=7)
    images, region = torch.rand(3, 3, 4, 4), torch.ones(3, 4, 4, dtype=torch.bool)
    classes = torch.tensor([0, 1, 1])
    together, apart = ExplanationCost(), ExplanationCost()
    together.update(method(images, region, classes).cost, index=[0, 1, 2])
    for i in range(3):
        apart.update(method(images[[i]], region[[i]], classes[[i]]).cost, index=i)
    for figure in ("forward_passes", "backward_passes"):
        assert together.compute()[figure] == apart.compute()[figure]
        assert together.compute()[figure].mean == 7
