import pytest
import torch
from torch import Tensor

from protoxai.metrics import Infidelity, infidelity

WEIGHT = torch.linspace(-1, 1, 16).view(4, 4)


def linear(images: Tensor, *arguments: Tensor) -> Tensor:
    return (images * WEIGHT).sum((1, 2, 3))


def test_the_gradient_predicts_the_effect_of_noise_and_another_place_does_not() -> None:
    images = torch.rand(2, 3, 4, 4)
    exact = infidelity(linear, images, WEIGHT.expand(2, 4, 4))
    torch.testing.assert_close(exact, torch.zeros(2).double(), atol=1e-9, rtol=0)
    # Elsewhere, the effect of noise is hardly predicted: its variance is 0.01 times 3 sum w^2.
    elsewhere = torch.zeros(2, 4, 4)
    elsewhere[:, 1, 1] = 1
    missed = infidelity(linear, images, elsewhere, samples=3000, batch_size=3000)
    assert missed.mean() == pytest.approx(0.01 * 3 * float(WEIGHT.square().sum()), rel=0.15)


def test_agrees_with_captum_without_its_shortcuts() -> None:
    images, attribution = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    noise = 0.1 * torch.randn(10, 3, 4, 4, generator=torch.Generator().manual_seed(7))
    predicted = (noise * attribution).sum((1, 2, 3)).double()
    moved = (linear(images) - linear(images - noise)).double()
    factor = (predicted * moved).mean() / predicted.square().mean()
    expected = (factor * predicted - moved).square().mean()
    values = infidelity(linear, images, attribution, seeds=[7])
    torch.testing.assert_close(values[0], expected, rtol=1e-4, atol=1e-9)


def test_a_positive_factor_does_not_matter() -> None:
    images, attribution = torch.rand(2, 3, 4, 4), torch.rand(2, 4, 4)
    one, other = (infidelity(linear, images, scaled) for scaled in (attribution, 9 * attribution))
    torch.testing.assert_close(one, other)


def test_arguments_reach_the_score_with_their_image() -> None:
    images, place = torch.rand(2, 3, 4, 4), torch.tensor([0, 3])
    attribution = torch.zeros(2, 4, 4)
    attribution[0, 0], attribution[1, 3] = 1, 1

    def row(batch: Tensor, which: Tensor) -> Tensor:
        return batch[torch.arange(len(batch)), :, which].sum((1, 2))

    values = infidelity(row, images, attribution, (place,))
    torch.testing.assert_close(values, torch.zeros(2).double(), atol=1e-9, rtol=0)
    assert (infidelity(row, images, attribution, (place.flip(0),)) > 1e-3).all()


def test_an_image_has_its_noise_whatever_its_batch() -> None:
    images, attribution = torch.rand(3, 3, 4, 4), torch.rand(3, 4, 4)
    together, apart = Infidelity(), Infidelity()
    together.update(linear, images, attribution, index=[0, 1, 2])
    for i in (2, 0, 1):
        apart.update(linear, images[i : i + 1], attribution[i : i + 1], index=i)
    assert together.compute() == apart.compute()
    assert together.higher_is_better is None


def test_no_attribution_is_undefined() -> None:
    metric = Infidelity()
    metric.update(linear, torch.rand(2, 3, 4, 4), torch.stack([WEIGHT * 0, WEIGHT]))
    assert (metric.compute().tasks, metric.compute().undefined) == (1, 1)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"attribution has shape .* resize the attribution"):
        infidelity(linear, torch.rand(1, 3, 4, 4), torch.rand(1, 2, 2))
