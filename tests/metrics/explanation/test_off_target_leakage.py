import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from protoxai.metrics import OffTargetLeakage, off_target_leakage, relevance_mass

LABELS = torch.tensor([[[1, 1, 2], [0, 0, 255]]])
MAP = torch.tensor([[[4.0, -2.0, 3.0], [0.0, -1.0, 99.0]]])
ONE = torch.tensor([1])


def test_by_hand() -> None:
    # Of 10 in five pixels, 6 are on the class's two, 3 on the one of another, 1 on the two behind.
    values = [float(value) for value in off_target_leakage(MAP, LABELS, ONE)]
    assert values == pytest.approx([0.4 - 0.6, 0.3 - 0.2, 0.1 - 0.4])
    values = [float(value) for value in off_target_leakage(MAP, LABELS, ONE, background=None)]
    assert values[:2] == pytest.approx([0.4 - 0.6, 0.4 - 0.6])
    assert math.isnan(values[2])
    values = [float(value) for value in off_target_leakage(MAP, LABELS, torch.tensor([0]))]
    assert values[:2] == pytest.approx([0.9 - 0.6, 0.9 - 0.6])
    assert math.isnan(values[2])


def naive(attribution: Tensor, labels: Tensor, own: int) -> list[float]:
    total = sum(
        abs(float(a))
        for a, label in zip(attribution.flatten(), labels.flatten(), strict=True)
        if label != 255
    )
    pixels = int((labels != 255).sum())
    values = [0.0, 0.0, 0.0]
    for a, label in zip(attribution.flatten().tolist(), labels.flatten().tolist(), strict=True):
        if label not in (255, own):
            excess = abs(a) / total - 1 / pixels
            values[0] += excess
            values[2 if label == 0 else 1] += excess
    return values


@given(st.integers(0, 2**31))
def test_agrees_with_loops(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    attribution = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(4, (2, 3, 5), generator=generator)
    labels[labels == 3] = 255
    labels[:, 0, 0], labels[:, 0, 1] = 1, 2
    classes = torch.tensor([1, 2])
    leakage = torch.stack(off_target_leakage(attribution, labels, classes), 1)
    for i in range(2):
        expected = naive(attribution[i], labels[i], int(classes[i]))
        assert leakage[i].tolist() == pytest.approx(expected)
    # For a positive map it is what relevance mass leaves.
    sure = labels.where(labels != 255, 0)
    whole = off_target_leakage(attribution.abs(), sure, classes).off_target
    mass = relevance_mass(attribution.abs(), sure == classes[:, None, None])
    torch.testing.assert_close(whole, -mass)


def test_neither_a_constant_map_nor_the_sign_matters() -> None:
    assert torch.stack(off_target_leakage(torch.ones_like(MAP), LABELS, ONE)).abs().max() < 1e-12
    assert off_target_leakage(-MAP, LABELS, ONE) == off_target_leakage(MAP, LABELS, ONE)


def test_undefined_without_the_class_and_without_attribution() -> None:
    for attribution, own in ((MAP, 7), (0 * MAP, 1)):
        leakage = off_target_leakage(attribution, LABELS, torch.tensor([own]))
        assert torch.stack(leakage).isnan().all()


def test_the_metric_averages_over_images() -> None:
    metric = OffTargetLeakage()
    metric.update(MAP, LABELS, ONE, index=4)
    metric.update(torch.ones_like(MAP), LABELS, ONE, index=5)
    values = metric.compute()
    assert [values[name].mean for name in metric.figures] == pytest.approx([-0.1, 0.05, -0.15])
    assert list(metric.figures.values()) == [False, None, False]


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"labels: got shape \(1, 2, 2\)"):
        off_target_leakage(MAP, LABELS[..., :2], ONE)
    with pytest.raises(ValueError, match=r"class_index: got shape \(2\,?\)"):
        off_target_leakage(MAP, LABELS, torch.tensor([1, 2]))
