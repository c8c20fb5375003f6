import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from protoxai.metrics import PerturbationAgreement, perturbation_agreement
from protoxai.metrics.explanation.imputation import impute
from protoxai.metrics.explanation.perturbation_agreement import random_squares

SIZE = 64


def case(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(3, SIZE, SIZE, generator=generator)
    return image, torch.randn(SIZE, SIZE, generator=generator)


def removals(image: Tensor, weight: Tensor, seed: int):
    """A score whose change is the weight's sum over the removed square, whatever replaces it."""
    squares = iter(random_squares(200, (SIZE, SIZE), seed))

    def score(images: Tensor) -> Tensor:
        if torch.equal(images[0], image):
            return torch.zeros(1).double()
        return torch.stack([-(weight * next(squares)).sum().double() for _ in images])

    return score


def test_by_hand() -> None:
    image, weight = case()
    for attribution, expected in ((weight, 1), (5 * weight, 1), (-weight, 0)):
        value = perturbation_agreement(removals(image, weight, 3), image, attribution, seed=3)
        assert float(value) == pytest.approx(expected)
    # An orthogonal part of the same size takes half of the square of the cosine.
    squares = random_squares(200, (SIZE, SIZE), 3).flatten(1).double()
    changes, other = squares @ weight.flatten().double(), squares @ case(1)[1].flatten().double()
    cosine = changes @ other / changes.norm() / other.norm()
    value = perturbation_agreement(removals(image, weight, 3), image, case(1)[1], seed=3)
    assert float(value) == pytest.approx(float(cosine.clamp_min(0).square()))


def test_agrees_with_loops() -> None:
    image, attribution = case()

    def score(images: Tensor) -> Tensor:
        return (images[:, 0, 8:40, 4:50].square() - images[:, 1, 8:40, 4:50]).mean((1, 2))

    predicted, changes = [], []
    for square in random_squares(30, (SIZE, SIZE), 5):
        rows, columns = np.nonzero(square.numpy())
        predicted.append(sum(float(attribution[p]) for p in zip(rows, columns, strict=True)))
        changed = impute(image[None], ~square[None])
        changes.append(float(score(image[None]) - score(changed)))
    product = sum(p * c for p, c in zip(predicted, changes, strict=True))
    expected = product**2 / sum(p * p for p in predicted) / sum(c * c for c in changes)
    values = [
        float(perturbation_agreement(score, image, sign * attribution, draws=30, seed=5))
        for sign in (1, -1)
    ]
    assert values == pytest.approx([expected, 0] if product > 0 else [0, expected], rel=1e-3)


@given(st.integers(1, 150), st.integers(1, 150), st.integers(0, 2**31))
def test_squares_lie_in_the_image(height: int, width: int, seed: int) -> None:
    squares = random_squares(20, (height, width), seed)
    assert squares.shape == (20, height, width)
    for square in squares:
        rows, columns = square.nonzero().T
        side = int(rows.max() - rows.min()) + 1
        assert int(columns.max() - columns.min()) + 1 == side
        assert int(square.sum()) == side**2
        largest = max(1, min(64, min(height, width) // 2))
        assert min(16, largest) <= side <= largest


def test_every_pixel_and_side_is_drawn() -> None:
    squares = random_squares(3000, (40, 70), 0)
    assert squares.any(0).all()
    assert squares.flatten(1).sum(1).double().sqrt().unique().tolist() == [16, 17, 18, 19, 20]


def test_the_truth_predicts_more_than_noise() -> None:
    image = torch.zeros(3, SIZE, SIZE)
    image[:, 20:44, 10:34] = 1

    def score(images: Tensor) -> Tensor:
        return images[:, :, 20:44, 10:34].mean((1, 2, 3))

    truth, noise = (
        float(perturbation_agreement(score, image, attribution))
        for attribution in (image[0], case()[1])
    )
    assert truth > 0.6
    assert noise < 0.2


def test_no_attribution_and_no_change_are_undefined() -> None:
    image, attribution = case()
    flat = perturbation_agreement(lambda x: torch.ones(len(x)), image, attribution)
    zero = perturbation_agreement(lambda x: x.mean((1, 2, 3)), image, 0 * attribution)
    none = perturbation_agreement(lambda x: x.mean((1, 2, 3)), image, attribution * torch.nan)
    for value in (flat, zero, none):
        assert value.isnan()


def test_the_metric_draws_by_image() -> None:
    image, attribution = case()

    def score(images: Tensor) -> Tensor:
        return images[:, 0].square().mean((1, 2))

    metric = PerturbationAgreement(draws=20, seed=2)
    metric.update(score, image[None], attribution.abs()[None], index=3)
    expected = perturbation_agreement(score, image, attribution.abs(), draws=20, seed=5)
    assert metric.compute().mean == pytest.approx(float(expected))
    assert metric.higher_is_better is None
    assert PerturbationAgreement().draws == 200


def test_what_does_not_fit_is_named() -> None:
    image, attribution = case()
    with pytest.raises(ValueError, match="resize the attribution"):
        perturbation_agreement(lambda x: x.mean((1, 2, 3)), image, attribution[:3])
    with pytest.raises(ValueError, match="draws is 0"):
        perturbation_agreement(lambda x: x.mean((1, 2, 3)), image, attribution, draws=0)
