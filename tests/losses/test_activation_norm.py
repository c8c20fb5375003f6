import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from protoxai import PrototypeTable
from protoxai.losses import activation_norm_loss
from tests.cases import UNEVEN, mean_of, pixel_sets, segmentations, set_of, value_and_gradient

NORMS = {"l1": lambda size: size.sum() / len(size), "linf": lambda size: size.max()}


def literally(activations: Tensor, labels: Tensor, table: PrototypeTable, norm: str) -> Tensor:
    terms = []
    for image, c, pixels in pixel_sets(labels, table.num_classes):
        norms = [NORMS[norm](activations[image, p][pixels].abs()) for p in set_of(table, c)]
        if norms:
            terms.append(sum(norms) / len(norms))
    return mean_of(terms, activations)


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=40)
@given(segmentations())
def test_as_the_method_says(norm: str, case: tuple[Tensor, Tensor, PrototypeTable]) -> None:
    activations, labels, table = case
    expected = value_and_gradient(lambda maps: literally(maps, labels, table, norm), activations)
    found = value_and_gradient(
        lambda maps: activation_norm_loss(maps, labels, table, norm=norm), activations
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_by_hand() -> None:
    activations = torch.tensor([1.0, -3.0, 7.0]).view(1, 1, 1, 3)
    labels, table = torch.tensor([[[0, 0, 1]]]), PrototypeTable([0], [0], 2, 1)
    assert activation_norm_loss(activations, labels, table) == 2
    assert activation_norm_loss(activations, labels, table, norm="linf") == 3


def test_one_pixel_counts() -> None:
    table = PrototypeTable([0], [0], 1, 1)
    for norm in NORMS:
        one = activation_norm_loss(
            torch.full((1, 1, 1, 1), 4.0), torch.zeros(1, 1, 1).long(), table, norm=norm
        )
        assert one == 4


def test_unknown_norm() -> None:
    with pytest.raises(ValueError, match=r"norm is 'l2', expected one of 'l1', 'linf'"):
        activation_norm_loss(
            torch.zeros(1, 8, 1, 1), torch.zeros(1, 1, 1).long(), UNEVEN, norm="l2"
        )
