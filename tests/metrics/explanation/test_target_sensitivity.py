import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from protoxai.metrics import TargetSensitivity, target_sensitivity

MAP = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])


def test_by_hand() -> None:
    assert target_sensitivity(MAP, MAP.exp()) == 0
    assert target_sensitivity(MAP, -MAP) == 2
    # Ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15) = 0.6.
    swapped = torch.tensor([[[2.0, 1.0], [4.0, 3.0]]])
    assert float(target_sensitivity(MAP, swapped)) == pytest.approx(0.4)


def ranks(values: list[float]) -> list[float]:
    """One plus the number of smaller values, and half of the equal ones."""
    return [1 + sum(o < v for o in values) + (sum(o == v for o in values) - 1) / 2 for v in values]


@given(st.integers(0, 2**31))
def test_agrees_with_loops_and_scipy(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Some values are equal.
    maps = torch.randint(-3, 4, (2, 2, 3, 4), generator=generator).float()
    maps[..., 0, :2] = torch.tensor([9.0, -9.0])
    values = target_sensitivity(maps[0], maps[1])
    for one, two, value in zip(maps[0], maps[1], values, strict=True):
        a, b = (ranks(own.flatten().tolist()) for own in (one, two))
        mean = sum(a) / len(a)
        products = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
        squares = sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)
        assert float(value) == pytest.approx(1 - products / squares**0.5)
        expected = stats.spearmanr(one.flatten(), two.flatten()).statistic
        assert float(value) == pytest.approx(1 - expected)
    torch.testing.assert_close(values, target_sensitivity(maps[1], maps[0]))


def test_a_constant_map_is_undefined() -> None:
    metric = TargetSensitivity()
    metric.update(torch.cat([MAP, MAP]), torch.cat([MAP, torch.ones_like(MAP)]))
    value = metric.compute()
    assert value.undefined == 1
    assert value.mean == 0
    assert metric.figures == {"target_sensitivity": None}


def test_maps_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"other: got shape \(1, 1, 2\)"):
        target_sensitivity(MAP, MAP[:, :1])
