import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai import PrototypeTable
from protoxai.metrics import ActivationScaleDiversity, activation_scale_diversity

# Class 0: two prototypes at scale 0, one at scale 1; class 1: one at scale 0.
TABLE = PrototypeTable([0, 0, 1, 0], [0, 0, 0, 1], num_classes=2, num_scales=2)


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values])


def test_by_hand() -> None:
    # The quantile of the eleven pixels of class 0 is the third largest value.
    rising = torch.arange(11.0)
    activations = torch.stack([rising, rising.roll(2), rising, rising.flip(0)])[None, :, None]
    activations = torch.cat([activations, torch.full((1, 4, 1, 1), 99.0)], 3)
    labels = torch.tensor([[[0] * 11 + [1]]])
    result = activation_scale_diversity(activations, labels, TABLE)
    # Cuts: {8, 9, 10}, {10, 0, 1} and {0, 1, 2}: within 1 of 5 in common, across 0 of 6, 2 of 4.
    torch.testing.assert_close(result.within, torch.tensor([1 - 1 / 5]).double())
    torch.testing.assert_close(result.across, torch.tensor([(1 + 1 - 2 / 4) / 2]).double())


def test_equal_maps_have_no_diversity_and_no_pair_is_undefined() -> None:
    metric = ActivationScaleDiversity(TABLE)
    labels = torch.zeros(2, 6, 6).long()
    labels[1] = 1
    metric.update(torch.ones(2, 4, 3, 3), labels)
    for estimate in metric.compute().values():
        assert (estimate.mean, estimate.tasks, estimate.undefined) == (0, 1, 1)


def test_void_is_no_class() -> None:
    activations = torch.rand(1, 4, 4, 4)
    labels = torch.full((1, 4, 4), 255)
    assert all(
        value.isnan().all() for value in activation_scale_diversity(activations, labels, TABLE)
    )
    with pytest.raises(ValueError, match="labels hold 7"):
        activation_scale_diversity(activations, labels * 0 + 7, TABLE)


@given(st.floats(0.1, 10), st.integers(0, 2**31))
def test_neither_factor_nor_flip_matters(factor: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    activations = torch.rand(2, 4, 4, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 2, (2, 4, 5), generator=generator)
    one = activation_scale_diversity(activations, labels, TABLE)
    other = activation_scale_diversity(factor * activations.flip(3), labels.flip(2), TABLE)
    for first, second in zip(one, other, strict=True):
        torch.testing.assert_close(first, second, equal_nan=True)


def test_batches_that_differ_are_named() -> None:
    with pytest.raises(ValueError, match="one map for each image of the activations"):
        activation_scale_diversity(torch.rand(2, 4, 4, 4), torch.zeros(1, 4, 4).long(), TABLE)
