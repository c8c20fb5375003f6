import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import ActiveUnits, active_units

EVIDENCE = st.lists(st.integers(-20, 20), min_size=1, max_size=8)


def test_by_hand() -> None:
    evidence = torch.tensor([[5.0, -9.0, 4.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, -1.0, -2.0, 9.0]])
    units = active_units(evidence)
    assert units.dtype == torch.float32
    assert units.tolist() == [2, 4, 1]
    assert active_units(evidence, share=0.5).tolist() == [1, 2, 1]
    assert active_units(evidence, share=1.0).tolist() == [3, 4, 1]


def test_a_share_that_is_reached_exactly_is_reached() -> None:
    # In float32 the sum of these falls short of nine tenths by rounding.
    for dtype in (torch.float32, torch.float64):
        assert active_units(torch.tensor([0.9, 0.1], dtype=dtype)) == 1
        assert active_units(torch.tensor([0.1] * 10, dtype=dtype)) == 9
        assert active_units(torch.tensor([0.89, 0.11], dtype=dtype)) == 2


def test_no_positive_evidence() -> None:
    evidence = torch.tensor([[-1.0, 0.0], [torch.nan, torch.nan], [1.0, 0.0]])
    assert active_units(evidence).nan_to_num(nan=-1).tolist() == [0, -1, 1]
    assert active_units(torch.tensor([torch.inf, 1.0])).isnan()
    metric = ActiveUnits()
    metric.update(evidence)
    for estimate in metric.compute().values():
        assert (estimate.mean, estimate.tasks, estimate.undefined) == (1, 1, 2)


def test_the_effective_number_counts_positive_evidence_alone() -> None:
    metric = ActiveUnits()
    metric.update(torch.tensor([[2.0, -50.0, 2.0, 0.0]]))
    assert metric.compute()["effective_units"].mean == pytest.approx(2)
    assert metric.higher_is_better is None


@given(EVIDENCE, st.integers(1, 50), st.data())
def test_neither_factor_nor_order_matters(values: list[int], factor: int, data) -> None:
    evidence = torch.tensor(values, dtype=torch.float64)
    order = torch.tensor(data.draw(st.permutations(range(len(values)))))
    assert active_units(factor * evidence[order]) == active_units(evidence)


@given(EVIDENCE)
def test_is_the_least_number_by_brute_force(values: list[int]) -> None:
    positive = sorted((v for v in values if v > 0), reverse=True)
    # The comparison of whole numbers is exact.
    needed = next(
        (n for n in range(len(positive) + 1) if 10 * sum(positive[:n]) >= 9 * sum(positive)), 0
    )
    assert active_units(torch.tensor(values).double()) == needed


def test_leading_dimensions_stay() -> None:
    assert active_units(torch.rand(2, 3, 5)).shape == (2, 3)


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_a_share_out_of_range_is_named(share: float) -> None:
    with pytest.raises(ValueError, match=f"share is {share}"):
        active_units(torch.rand(3), share)


def test_maps_are_not_evidence() -> None:
    with pytest.raises(ValueError, match="average it over the region"):
        ActiveUnits().update(torch.rand(1, 2, 3, 3))
