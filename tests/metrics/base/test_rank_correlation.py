import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from protoxai.metrics import spearman


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=12))
def test_agrees_with_scipy_ties_included(pairs: list[tuple[int, int]]) -> None:
    first, second = torch.tensor(pairs).double().T
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        assert spearman(first, second).isnan()
    else:
        expected = stats.spearmanr(first.numpy(), second.numpy()).statistic
        assert float(spearman(first, second)) == pytest.approx(expected)


def test_both_ends_and_undefined() -> None:
    rising = torch.arange(5.0)
    assert spearman(rising, rising.exp()) == 1
    assert spearman(rising, -rising) == -1
    rising[2] = torch.nan
    assert spearman(rising, torch.arange(5.0)).isnan()
