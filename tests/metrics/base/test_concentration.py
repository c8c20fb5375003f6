import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from protoxai.metrics import complexity, effective_number, gini

LISTS = st.lists(st.floats(-9, 9), min_size=1, max_size=8).filter(
    lambda values: max(map(abs, values)) > 1e-3
)


def test_by_hand() -> None:
    # Ascending shares 0, 1/4, 3/4: 1 - 2 (0 * 2.5 + 1/4 * 1.5 + 3/4 * 0.5) / 3 = 1/2.
    values = torch.tensor([3.0, 0.0, -1.0])
    assert gini(values) == pytest.approx(0.5)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert complexity(values) == pytest.approx(entropy)
    assert effective_number(values) == pytest.approx(math.exp(entropy))


def test_both_ends() -> None:
    even, single = torch.ones(4), torch.tensor([0.0, 0.0, 7.0, 0.0])
    assert (gini(even), gini(single)) == (0, 0.75)
    assert complexity(even) == pytest.approx(math.log(4))
    assert complexity(single) == 0
    assert effective_number(even) == pytest.approx(4)
    assert effective_number(single) == 1


@pytest.mark.parametrize("measure", [gini, complexity, effective_number])
def test_nothing_but_zeros_is_undefined(measure) -> None:
    found = measure(torch.tensor([[0.0, 0.0], [1.0, 0.0], [torch.nan, 1.0]]))
    assert found.isnan().tolist() == [True, False, True]


@pytest.mark.parametrize("measure", [gini, complexity, effective_number])
@given(values=LISTS, factor=st.floats(0.01, 100), data=st.data())
def test_neither_factor_nor_sign_nor_order_matters(measure, values, factor, data) -> None:
    rows = torch.tensor(values, dtype=torch.float64)
    order = torch.tensor(data.draw(st.permutations(range(len(rows)))))
    torch.testing.assert_close(measure(-factor * rows[order]), measure(rows))


@given(LISTS)
def test_entropy_agrees_with_scipy(values: list[float]) -> None:
    rows = torch.tensor(values, dtype=torch.float64)
    assert complexity(rows) == pytest.approx(stats.entropy(rows.abs().numpy()), abs=1e-9)


@given(LISTS)
def test_gini_is_half_the_relative_mean_difference(values: list[float]) -> None:
    rows = torch.tensor(values, dtype=torch.float64).abs()
    differences = (rows[:, None] - rows).abs().mean()
    assert gini(rows) == pytest.approx(float(differences / (2 * rows.mean())), abs=1e-9)


def test_over_the_last_dimension_and_in_its_own_type() -> None:
    assert gini(torch.rand(2, 3, 5)).shape == (2, 3)
    assert gini(torch.rand(5).half()).dtype == torch.float32
    assert gini(torch.tensor([1, 3])).dtype == torch.float32
    assert gini(torch.rand(5).double()).dtype == torch.float64
