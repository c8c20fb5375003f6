import pytest
import torch
from scipy import stats

from protoxai.metrics.base.wilson import wilson_interval


@pytest.mark.parametrize(("hits", "number"), [(0, 5), (3, 7), (7, 7), (40, 100)])
def test_agrees_with_scipy(hits: int, number: int) -> None:
    expected = stats.binomtest(hits, number).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits / number, number) == pytest.approx(tuple(expected), abs=1e-12)


@pytest.mark.parametrize(("share", "number"), [(0.5, 20), (0.8, 12), (0.95, 40)])
def test_shares_are_covered(share: float, number: int) -> None:
    # By the binomial probabilities of all outcomes, without draws.
    covered = 0.0
    for hits in range(number + 1):
        low, high = wilson_interval(hits / number, number)
        covered += (low <= share <= high) * stats.binom.pmf(hits, number, share)
    assert 0.93 <= covered <= 0.985


def test_the_ends_are_within_the_range() -> None:
    for number in range(1, 50):
        for share in torch.linspace(0, 1, 7).tolist():
            low, high = wilson_interval(share, number)
            assert 0 <= low <= share + 1e-12
            assert share - 1e-12 <= high <= 1
