import math

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from protoxai import PrototypeTable
from protoxai.losses import sample_entropy_loss
from tests.cases import mean_of, pixel_sets, segmentations, set_of, value_and_gradient


def literally(activations: Tensor, labels: Tensor, table: PrototypeTable) -> Tensor:
    terms = []
    for image, c, pixels in pixel_sets(labels, table.num_classes):
        for scale in range(table.num_scales):
            own = set_of(table, c, scale)
            if len(own) < 2:
                continue
            entropies = []
            for row, col in pixels.nonzero().tolist():
                shares = activations[image, own, row, col].softmax(0)
                entropies.append(-(shares * shares.log()).sum() / math.log(len(own)))
            terms.append(sum(entropies) / len(entropies))
    return mean_of(terms, activations)


@settings(max_examples=60)
@given(segmentations())
def test_as_the_method_says(case: tuple[Tensor, Tensor, PrototypeTable]) -> None:
    activations, labels, table = case
    expected = value_and_gradient(lambda maps: literally(maps, labels, table), activations)
    found = value_and_gradient(lambda maps: sample_entropy_loss(maps, labels, table), activations)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_one_pixel_by_hand() -> None:
    activations = torch.tensor([3.0, 1.0]).log().view(1, 2, 1, 1)
    table = PrototypeTable([0, 0], [0, 0], 1, 1)
    loss = sample_entropy_loss(activations, torch.zeros(1, 1, 1).long(), table)
    assert loss.item() == pytest.approx(2 - 0.75 * math.log2(3))


def test_scales_with_one_prototype_are_skipped() -> None:
    labels = torch.zeros(1, 2, 2).long()
    activations = torch.rand(1, 3, 2, 2)
    pair = sample_entropy_loss(activations[:, :2], labels, PrototypeTable([0, 0], [0, 0], 1, 1))
    both = sample_entropy_loss(activations, labels, PrototypeTable([0, 0, 0], [0, 0, 1], 1, 2))
    torch.testing.assert_close(both, pair)
    alone = PrototypeTable([0, 0, 0], [0, 1, 2], 1, 3)
    assert sample_entropy_loss(activations, labels, alone) == 0


def test_each_class_and_scale_weighs_the_same_whatever_its_size() -> None:
    # Class 0: three pixels, undecided (entropy 1); class 1: one pixel, decided (entropy 0).
    activations = torch.zeros(1, 4, 1, 4)
    activations[0, 2, 0, 3] = 100
    labels = torch.tensor([[[0, 0, 0, 1]]])
    table = PrototypeTable([0, 0, 1, 1], [0, 0, 0, 0], 2, 1)
    assert sample_entropy_loss(activations, labels, table).item() == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_is_finite_where_another_class_has_more_prototypes(dtype: torch.dtype) -> None:
    table = PrototypeTable([0, 0, 1, 1, 1], [0, 0, 0, 0, 0], 2, 1)
    value, gradient = value_and_gradient(
        lambda maps: sample_entropy_loss(maps, torch.zeros(1, 1, 1).long(), table),
        torch.tensor([3.0, 1, 5, 5, 5], dtype=dtype).log().view(1, 5, 1, 1),
    )
    assert value.item() == pytest.approx(2 - 0.75 * math.log2(3))
    # The derivative of p log p + (1 - p) log(1 - p) by the logit of p, in bits.
    slope = 0.75 * 0.25 * math.log2(3)
    assert gradient.flatten().tolist() == pytest.approx([-slope, slope, 0, 0, 0])
