import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from protoxai.metrics import DeletionInsertion, deletion_insertion, perturbation_curves
from protoxai.metrics.explanation.blur import gaussian_blur


def bright() -> Tensor:
    """One white pixel in the dark."""
    image = torch.zeros(3, 10, 10)
    image[:, 4, 7] = 1
    return image


def white_pixel(images: Tensor) -> Tensor:
    return images[:, 0, 4, 7]


def test_curves_by_hand() -> None:
    image, attribution = bright(), bright()[0]
    curves = perturbation_curves(white_pixel, image, attribution, steps=20, sigma=50.0)
    blurred = float(gaussian_blur(image[None], 50.0)[0, 0, 4, 7])
    # The pixel is removed, or restored, in the first step.
    torch.testing.assert_close(curves[0], torch.tensor([1.0] + [blurred] * 20))
    torch.testing.assert_close(curves[1], torch.tensor([blurred] + [1.0] * 20))
    areas = deletion_insertion(white_pixel, image, attribution, sigma=50.0)
    torch.testing.assert_close(areas.deletion, torch.tensor(1 / 40 + blurred * 39 / 40))
    torch.testing.assert_close(areas.insertion, torch.tensor(39 / 40 + blurred / 40))
    # With the opposite sign it is the last one removed.
    worst = deletion_insertion(white_pixel, image, -attribution, sigma=50.0)
    torch.testing.assert_close(worst.deletion, torch.tensor(39 / 40 + blurred / 40))
    torch.testing.assert_close(worst.insertion, torch.tensor(1 / 40 + blurred * 39 / 40))


def test_steps_are_equal_and_include_both_ends() -> None:
    image = torch.rand(3, 10, 10)
    changed = []

    def score(images: Tensor) -> Tensor:
        changed.extend((images != image).any(1).sum((1, 2)).tolist())
        return images.mean((1, 2, 3))

    perturbation_curves(score, image, torch.rand(10, 10), steps=20)
    assert changed[:21] == [5 * step for step in range(21)]
    assert changed[21:] == changed[20::-1]


def test_batches_are_bounded_and_do_not_matter() -> None:
    image, attribution = torch.rand(3, 8, 8), torch.rand(8, 8)
    sizes = []

    def score(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return images.mean((1, 2, 3))

    one = perturbation_curves(score, image, attribution, batch_size=5)
    assert max(sizes) == 5
    torch.testing.assert_close(one, perturbation_curves(score, image, attribution, batch_size=99))


def test_ties_go_in_a_seeded_random_order() -> None:
    image, constant = torch.rand(3, 8, 8), torch.zeros(8, 8)

    def curves(seed: int) -> Tensor:
        return perturbation_curves(lambda x: x[:, 0, :4].mean((1, 2)), image, constant, seed=seed)

    assert torch.equal(curves(1), curves(1))
    assert not torch.equal(curves(1), curves(2))
    # In row-major order, the upper half would be removed first.
    assert not torch.equal(curves(1)[0, 10:], curves(1)[0, 10:11].expand(11))


@given(st.sampled_from([0.5, 3.0, 100.0]), st.integers(0, 2**31))
def test_a_positive_factor_does_not_matter(factor: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image, attribution = torch.rand(3, 8, 8, generator=generator), torch.rand(8, 8).double()
    one, other = (
        perturbation_curves(lambda x: x[:, 0, 2, 3], image, scaled, steps=7)
        for scaled in (attribution, factor * attribution)
    )
    assert torch.equal(one, other)


@given(st.sampled_from([(1,), (2,), (1, 2)]), st.integers(0, 2**31))
def test_a_flipped_image_has_the_same_curves(dims: tuple[int, ...], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(3, 8, 6, generator=generator, dtype=torch.float64)
    # Without ties, whose order is random.
    attribution = torch.randperm(48, generator=generator).view(8, 6)
    centre = torch.zeros(8, 6)
    centre[2:6, 2:4] = 1

    def score(images: Tensor) -> Tensor:
        return (images.square() * centre).mean((1, 2, 3))

    flipped = perturbation_curves(
        score, image.flip(*dims), attribution.flip(*(dim - 1 for dim in dims)), steps=6
    )
    torch.testing.assert_close(flipped, perturbation_curves(score, image, attribution, steps=6))


def test_the_gap_to_a_random_order() -> None:
    metric = DeletionInsertion()
    metric.update(white_pixel, bright(), bright()[0], index=3)
    areas = metric.compute()
    assert areas["deletion_gap"].mean == pytest.approx(
        areas["random_deletion"].mean - areas["deletion"].mean
    )
    assert areas["insertion_gap"].mean == pytest.approx(
        areas["insertion"].mean - areas["random_insertion"].mean
    )
    assert areas["deletion_gap"].mean > 0
    assert areas["insertion_gap"].mean > 0
    worse, none = DeletionInsertion(), DeletionInsertion()
    worse.update(white_pixel, bright(), -bright()[0], index=3)
    none.update(white_pixel, bright(), torch.zeros(10, 10), index=3)
    assert worse.compute()["deletion_gap"].mean < 0
    assert worse.compute()["insertion_gap"].mean < 0
    assert none.compute()["deletion_gap"].mean == 0


def test_undefined_scores_and_maps_are_undefined() -> None:
    empty_region = deletion_insertion(
        lambda x: x.new_full((len(x),), torch.nan), bright(), bright()[0]
    )
    no_map = deletion_insertion(white_pixel, bright(), torch.full((10, 10), torch.nan))
    for value in (*empty_region, *no_map):
        assert value.isnan()
    metric = DeletionInsertion()
    metric.update(white_pixel, bright(), torch.full((10, 10), torch.nan))
    assert metric.compute()["deletion"].undefined == 1


def test_a_batch_of_one_is_one_image() -> None:
    one = deletion_insertion(white_pixel, bright()[None], bright()[:1])
    assert one == deletion_insertion(white_pixel, bright(), bright()[0])


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"image has shape \(2, 3, 10, 10\)"):
        deletion_insertion(white_pixel, torch.rand(2, 3, 10, 10), bright()[0])
    with pytest.raises(ValueError, match=r"the result of score: got shape \(8, 3\)"):
        deletion_insertion(lambda x: x[:, :, 0, 0], bright(), bright()[0])
    with pytest.raises(ValueError, match="steps is 0"):
        deletion_insertion(white_pixel, bright(), bright()[0], steps=0)


def test_by_default_the_blur_is_a_sixteenth_of_the_height() -> None:
    image, attribution = torch.rand(3, 32, 20), torch.rand(32, 20)
    curves = perturbation_curves(lambda x: x[:, 0, 5, 5], image, attribution, steps=3)
    expected = gaussian_blur(image[None], 2.0)[0, 0, 5, 5]
    torch.testing.assert_close(curves[0, -1], expected)
    torch.testing.assert_close(curves[1, 0], expected)
