import pytest

from protoxai.attribution import Cost
from protoxai.metrics import ExplanationCost


def test_by_hand() -> None:
    metric = ExplanationCost()
    metric.update(Cost(3, 1, seconds=1.0, peak_memory=None), index=[0, 1])
    metric.update(Cost(5, 0, seconds=2.0, peak_memory=64), index=2)
    found = metric.compute()
    assert found["forward_passes"].mean == pytest.approx((3 + 3 + 5) / 3)
    assert found["backward_passes"].mean == pytest.approx(2 / 3)
    assert found["seconds"].mean == pytest.approx(1)
    assert found["peak_memory"].mean == 64
    assert found["peak_memory"].undefined == 2
    assert metric.higher_is_better is False
