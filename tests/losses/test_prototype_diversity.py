from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from protoxai import PrototypeTable
from protoxai.losses import prototype_diversity_loss
from tests.cases import VOID, mean_of, pixel_sets, segmentations, set_of, value_and_gradient


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    return (log_p.exp() * (log_p - log_q)).sum()


def literally(distances: Tensor, labels: Tensor, table: PrototypeTable) -> Tensor:
    terms = []
    for image, c, pixels in pixel_sets(labels, table.num_classes):
        if pixels.sum() < 2:
            continue
        for scale in range(table.num_scales):
            looks = [distances[image, p][pixels].log_softmax(0) for p in set_of(table, c, scale)]
            for v, w in combinations(looks, 2):
                terms.append(torch.exp(-(divergence(v, w) + divergence(w, v)) / 2))
    return mean_of(terms, distances)


@settings(max_examples=60)
@given(segmentations())
def test_as_the_method_says(case: tuple[Tensor, Tensor, PrototypeTable]) -> None:
    distances, labels, table = case
    expected = value_and_gradient(lambda maps: literally(maps, labels, table), distances)
    found = value_and_gradient(
        lambda maps: prototype_diversity_loss(maps, labels, table), distances
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_two_pixels_by_hand() -> None:
    # Shares (3/4, 1/4) and (1/4, 3/4): both divergences are (3/4 - 1/4) log 3, and so D.
    distances = torch.tensor([[3.0, 1.0], [1.0, 3.0]]).log().view(1, 2, 1, 2)
    table = PrototypeTable([0, 0], [0, 0], 1, 1)
    loss = prototype_diversity_loss(distances, torch.zeros(1, 1, 2).long(), table)
    assert loss.item() == pytest.approx(3**-0.5)


def test_prototypes_of_different_scales_or_classes_are_no_pair() -> None:
    distances, labels = torch.rand(1, 2, 2, 2), torch.tensor([[[0, 0], [1, 1]]])
    assert prototype_diversity_loss(distances, labels, PrototypeTable([0, 0], [0, 1], 2, 2)) == 0
    assert prototype_diversity_loss(distances, labels, PrototypeTable([0, 1], [0, 0], 2, 2)) == 0
    assert prototype_diversity_loss(distances, labels, PrototypeTable([0, 0], [1, 1], 2, 2)) > 0


def test_one_pixel_of_a_class_does_not_count() -> None:
    labels = torch.tensor([[[0, VOID]], [[VOID, 0]]])
    table = PrototypeTable([0, 0], [0, 0], 1, 1)
    assert prototype_diversity_loss(torch.ones(2, 2, 1, 2), labels, table) == 0


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_equal_looks_cost_1_and_no_more(offset: float) -> None:
    # An offset, here as large as a group's score may be, does not change where a prototype looks.
    distances = torch.rand(1, 1, 16, 16) + torch.tensor([0.0, offset]).view(1, 2, 1, 1)
    table = PrototypeTable([0, 0], [0, 0], 1, 1)
    loss = prototype_diversity_loss(distances, torch.zeros(1, 16, 16).long(), table)
    assert loss.item() == pytest.approx(1, abs=1e-3)
    assert loss <= 1 + 1e-6
