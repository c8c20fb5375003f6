import math

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from protoxai import PrototypeTable
from protoxai.losses import spatial_entropy_loss
from tests.cases import VOID, mean_of, pixel_sets, segmentations, set_of, value_and_gradient


def entropy(shares: Tensor) -> Tensor:
    return -(shares * shares.log()).sum()


def literally(activations: Tensor, labels: Tensor, table: PrototypeTable) -> Tensor:
    terms = []
    for image, c, pixels in pixel_sets(labels, table.num_classes):
        own = set_of(table, c)
        if pixels.sum() < 2 or not own:
            continue
        normaliser = math.log(int(pixels.sum()))
        entropies = [entropy(activations[image, p][pixels].softmax(0)) / normaliser for p in own]
        terms.append(sum(entropies) / len(own))
    return mean_of(terms, activations)


@settings(max_examples=60)
@given(segmentations())
def test_as_the_method_says(case: tuple[Tensor, Tensor, PrototypeTable]) -> None:
    activations, labels, table = case
    expected = value_and_gradient(lambda maps: literally(maps, labels, table), activations)
    found = value_and_gradient(lambda maps: spatial_entropy_loss(maps, labels, table), activations)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_two_pixels_by_hand() -> None:
    activations = torch.tensor([3.0, 1.0]).log().view(1, 1, 1, 2)
    table = PrototypeTable([0], [0], 1, 1)
    loss = spatial_entropy_loss(activations, torch.zeros(1, 1, 2).long(), table)
    # The entropy of (3/4, 1/4) in bits, since log|U| = log 2.
    assert loss.item() == pytest.approx(2 - 0.75 * math.log2(3))


def test_one_peak_costs_nothing_and_a_plain_1() -> None:
    table, labels = PrototypeTable([0], [0], 1, 1), torch.zeros(1, 4, 4).long()
    peak = torch.zeros(1, 1, 4, 4)
    assert spatial_entropy_loss(peak, labels, table).item() == pytest.approx(1)
    peak[0, 0, 1, 2] = 100
    assert spatial_entropy_loss(peak, labels, table).item() == pytest.approx(0)


def test_one_pixel_of_a_class_does_not_count() -> None:
    table = PrototypeTable([0, 1], [0, 0], 2, 1)
    activations = torch.rand(1, 2, 1, 3)
    alone = spatial_entropy_loss(activations, torch.tensor([[[0, VOID, VOID]]]), table)
    assert alone == 0
    beside, without = torch.tensor([[[0, 1, 1]]]), torch.tensor([[[VOID, 1, 1]]])
    assert torch.equal(
        spatial_entropy_loss(activations, beside, table),
        spatial_entropy_loss(activations, without, table),
    )
