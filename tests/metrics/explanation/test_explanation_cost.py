import pytest
import torch

from protoxai.attribution import CaptumAttribution, Cost
from protoxai.metrics import ExplanationCost, explanation_cost


def test_images_of_a_batch_share_its_passes_and_seconds() -> None:
    cost = Cost(6, 2, seconds=1.0, peak_memory=64)
    assert explanation_cost(cost).tolist() == [6, 2, 1, 64]
    assert explanation_cost(cost, images=2).tolist() == [3, 1, 0.5, 64]
    assert explanation_cost(Cost(6, 2, 1.0, None)).isnan().tolist() == [False] * 3 + [True]
    with pytest.raises(ValueError, match="images is 0"):
        explanation_cost(cost, images=0)


def test_the_metric_by_hand() -> None:
    metric = ExplanationCost()
    metric.update(Cost(6, 2, seconds=1.0, peak_memory=None), index=[0, 1])
    metric.update(Cost(5, 0, seconds=2.0, peak_memory=64), index=2)
    values = metric.compute()
    assert values["forward_passes"].mean == pytest.approx((3 + 3 + 5) / 3)
    assert values["backward_passes"].mean == pytest.approx(2 / 3)
    assert values["seconds"].mean == pytest.approx(1)
    assert values["peak_memory"].mean == 64
    assert values["peak_memory"].undefined == 2
    assert metric.higher_is_better is None
    assert set(metric.figures.values()) == {None}


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
