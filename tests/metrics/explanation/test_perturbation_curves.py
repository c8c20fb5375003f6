import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai.metrics import perturbation_curves
from protoxai.metrics.explanation.blur import gaussian_blur
from protoxai.metrics.explanation.imputation import impute
from protoxai.metrics.explanation.noisy_linear import impute_noisy_linear


def bright() -> Tensor:
    """One white pixel in the dark."""
    image = torch.zeros(3, 10, 10)
    image[:, 4, 7] = 1
    return image


def white_pixel(images: Tensor) -> Tensor:
    return images[:, 0, 4, 7]


def test_curves_by_hand() -> None:
    image, attribution = bright(), bright()[0]
    curves = perturbation_curves(white_pixel, image, attribution)
    # The pixel is removed, or restored, in the first step; without a known pixel all have the mean.
    torch.testing.assert_close(curves[0], torch.tensor([1.0] + [0.0] * 19 + [0.01]))
    torch.testing.assert_close(curves[1], torch.tensor([0.01] + [1.0] * 20))
    blurred = float(gaussian_blur(image[None], 10 / 16)[0, 0, 4, 7])
    curves = perturbation_curves(white_pixel, image, attribution, fill="blur")
    torch.testing.assert_close(curves[0], torch.tensor([1.0] + [blurred] * 20))
    torch.testing.assert_close(curves[1], torch.tensor([blurred] + [1.0] * 20))


def naive_curve(score, image, attribution, steps, fill, patch, keep) -> list[float]:
    """Deletion, square by square, of a map without ties."""
    height, width = attribution.shape
    squares = []
    for row in range(0, height, patch):
        for column in range(0, width, patch):
            own = [
                (i, j)
                for i in range(row, min(row + patch, height))
                for j in range(column, min(column + patch, width))
                if not keep[i, j]
            ]
            if own:
                squares.append((sum(float(attribution[p]) for p in own) / len(own), own))
    squares.sort(reverse=True)
    curve = []
    for step in range(steps + 1):
        known = torch.ones(1, height, width, dtype=torch.bool)
        for _, own in squares[: round(step * len(squares) / steps)]:
            for i, j in own:
                known[0, i, j] = False
        if fill == "impute":
            changed = impute(image[None], known)
        elif fill == "road":
            changed = impute_noisy_linear(image, ~known)
        else:
            changed = torch.where(known, image, gaussian_blur(image[None], height / 16))
        curve.append(float(score(changed)))
    return curve


@given(st.sampled_from(["impute", "blur", "road"]), st.sampled_from([1, 3]), st.integers(0, 2**31))
@settings(max_examples=20)
def test_agrees_with_loops(fill: str, patch: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(3, 7, 8, generator=generator, dtype=torch.float64)
    attribution = torch.randperm(56, generator=generator).view(7, 8).double() ** 1.1
    keep = torch.rand(7, 8, generator=generator) < 0.3

    def score(images: Tensor) -> Tensor:
        return (images * image).sin().mean((1, 2, 3))

    curves = perturbation_curves(
        score, image, attribution, steps=5, fill=fill, patch=patch, keep=keep
    )
    own, other = (
        naive_curve(score, image, values, 5, fill, patch, keep)
        for values in (attribution, -attribution)
    )
    torch.testing.assert_close(curves, torch.tensor([own, other[::-1]]).double())


def test_insertion_is_the_deletion_of_the_negative_read_backwards() -> None:
    # Most values are equal.
    image, attribution = torch.rand(3, 8, 8), torch.randint(3, (8, 8)) - 1.0
    curves, negative = (
        perturbation_curves(lambda x: x.square().mean((1, 2, 3)), image, values)
        for values in (attribution, -attribution)
    )
    assert torch.equal(curves, negative.flip(0, 1))
    assert not torch.equal(curves[0], negative[0])


def test_kept_pixels_are_never_removed() -> None:
    image, keep, seen = torch.rand(3, 8, 8), torch.rand(8, 8) < 0.5, []

    def score(images: Tensor) -> Tensor:
        seen.append((images != image).any(1))
        return images.mean((1, 2, 3))

    curves = perturbation_curves(score, image, torch.rand(8, 8), keep=keep[None])
    changed = torch.cat(seen)
    assert not changed[:, keep].any()
    assert torch.equal(changed[20], ~keep)
    assert curves[0, -1] == curves[1, 0]
    whole = perturbation_curves(score, image, torch.rand(8, 8), keep=torch.ones(8, 8).bool())
    assert whole.isnan().all()


def test_squares_are_removed_as_one() -> None:
    image, changed = torch.rand(3, 8, 12), []

    def score(images: Tensor) -> Tensor:
        changed.extend((images != image).any(1).long())
        return images.mean((1, 2, 3))

    perturbation_curves(score, image, torch.rand(8, 12), steps=6, patch=4)
    for step, removed in enumerate(changed[:7]):
        squares = removed.view(2, 4, 3, 4).transpose(1, 2).flatten(2).float().mean(-1)
        assert squares.unique().tolist() in ([0], [0, 1], [1])
        assert squares.sum() == step


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
        score, image.flip(*dims), attribution.flip(*(dim - 1 for dim in dims)), steps=6, fill="blur"
    )
    expected = perturbation_curves(score, image, attribution, steps=6, fill="blur")
    torch.testing.assert_close(flipped, expected)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"image has shape \(2, 3, 10, 10\)"):
        perturbation_curves(white_pixel, torch.rand(2, 3, 10, 10), bright()[0])
    with pytest.raises(ValueError, match=r"the result of score: got shape \(8, 3\)"):
        perturbation_curves(lambda x: x[:, :, 0, 0], bright(), bright()[0])
    with pytest.raises(ValueError, match="steps is 0"):
        perturbation_curves(white_pixel, bright(), bright()[0], steps=0)
    with pytest.raises(ValueError, match=r"fill is 'blue'.*did you mean 'blur'"):
        perturbation_curves(white_pixel, bright(), bright()[0], fill="blue")
    with pytest.raises(ValueError, match=r"keep has shape \(10, 9\)"):
        perturbation_curves(
            white_pixel, bright(), bright()[0], keep=torch.ones(10, 9, dtype=torch.bool)
        )


def test_a_batch_of_one_is_one_image() -> None:
    one = perturbation_curves(white_pixel, bright()[None], bright()[:1])
    assert torch.equal(one, perturbation_curves(white_pixel, bright(), bright()[0]))


def test_the_blur_is_a_sixteenth_of_the_height() -> None:
    image, attribution = torch.rand(3, 32, 20), torch.rand(32, 20)
    curves = perturbation_curves(lambda x: x[:, 0, 5, 5], image, attribution, 3, fill="blur")
    expected = gaussian_blur(image[None], 2.0)[0, 0, 5, 5]
    torch.testing.assert_close(curves[0, -1], expected)
    torch.testing.assert_close(curves[1, 0], expected)
