import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai.metrics import (
    Faithfulness,
    PatchFaithfulness,
    deletion_insertion,
    faithfulness,
    patch_faithfulness,
    perturbation_curves,
)
from protoxai.metrics.explanation.blur import gaussian_blur
from tests.metrics.explanation.test_perturbation_curves import bright, white_pixel

SIZE = 32


def brightness(images: Tensor) -> Tensor:
    """How bright the middle is, not linear."""
    return images[:, :, 10:22, 8:20].mean((1, 2, 3)).sigmoid()


def bright_middle() -> tuple[Tensor, Tensor]:
    """A noisy dark picture with a bright square, and the square."""
    truth = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    truth[10:22, 8:20] = True
    noise = 0.2 * torch.randn(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return 4 * truth - 2 + noise, truth


def test_by_hand() -> None:
    # Insertion: 0.01, 1, 1, …; deletion: 1, 0, 0, …, 0.01. The areas are 39.01 / 40 and 1.01 / 40.
    value = faithfulness(white_pixel, bright(), bright()[0])
    torch.testing.assert_close(value, torch.tensor(38 / 40))
    torch.testing.assert_close(faithfulness(white_pixel, bright(), -bright()[0]), -value)
    # The pixel is one of three units, the last to be restored and the first to be removed.
    row = torch.tensor([1.0, 0.0, 0.0])
    value = faithfulness(lambda x: x[:, 0, 0, 0], row.expand(3, 1, 3), row[None], steps=3)
    # Removed first: 1, 0, 0, mean; removed last: 1, 1, 1, mean.
    torch.testing.assert_close(value, torch.tensor((2.5 + 1 / 6 - 0.5 - 1 / 6) / 3))


@given(st.integers(0, 2**31), st.sampled_from(["impute", "blur", "road"]), st.sampled_from([1, 4]))
@settings(max_examples=20, deadline=None)
def test_the_negative_of_a_map_has_the_negative_value(seed: int, fill: str, patch: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(3, 8, 10, generator=generator)
    # Many values are equal.
    attribution = torch.randint(-2, 3, (8, 10), generator=generator)

    def score(images: Tensor) -> Tensor:
        return (images * image).sin().mean((1, 2, 3))

    one, other, constant = (
        # The score of an image depends on its batch, in the last bit.
        faithfulness(score, image, values, fill=fill, patch=patch, batch_size=1)
        for values in (attribution, -attribution, torch.zeros(8, 10))
    )
    assert one == -other
    assert constant == 0


def test_agrees_with_the_mean_difference_of_the_curves() -> None:
    image, truth = bright_middle()
    generator = torch.Generator().manual_seed(1)
    attribution = torch.rand(SIZE, SIZE, generator=generator)
    total = 0.0
    curves = perturbation_curves(brightness, image, attribution, keep=truth, patch=2)
    deletion, insertion = curves.double().tolist()
    for step in range(20):
        for curve, sign in ((insertion, 1), (deletion, -1)):
            total += sign * (curve[step] + curve[step + 1]) / 2 / 20
    value = faithfulness(brightness, image, attribution, keep=truth, patch=2)
    assert float(value) == pytest.approx(total, abs=1e-6)


def noise(maps: int) -> tuple[Tensor, Tensor]:
    """Maps (N, H, W) of pixel noise, and of smooth noise."""
    pixels = torch.randn(maps, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    return pixels[:, 0], gaussian_blur(pixels, SIZE / 16)[:, 0]


def test_the_areas_alone_depend_on_how_smooth_a_map_is() -> None:
    image, _ = bright_middle()
    pixels, smooth = (
        [deletion_insertion(brightness, image, own) for own in maps] for maps in noise(12)
    )
    for area in (0, 1):
        one, other = (sum(float(areas[area]) for areas in own) / 12 for own in (pixels, smooth))
        assert one - other > 0.1


@pytest.mark.parametrize("fill", ["impute", "blur", "road"])
@pytest.mark.parametrize("patch", [1, 4])
def test_the_truth_is_first_and_noise_has_nothing_smooth_or_not(fill: str, patch: int) -> None:
    image, mask = bright_middle()
    truth = mask.float()

    def value(attribution: Tensor) -> float:
        return float(faithfulness(brightness, image, attribution, fill=fill, patch=patch))

    pixels, smooths = (torch.tensor([value(own) for own in maps]) for maps in noise(24))
    perfect = value(truth)
    assert perfect > {"impute": 0.5, "blur": 0.1, "road": 0.5}[fill]
    # Squares on the border of the truth are as good as those next to them.
    assert perfect > value(gaussian_blur(truth[None, None], 6.0)[0, 0]) - 0.01
    assert max(pixels.max(), smooths.max()) < perfect
    for chance in (pixels, smooths):
        assert abs(chance.mean()) < 3 * chance.std() / len(chance) ** 0.5


def test_the_metrics_have_pixels_the_context_and_patches() -> None:
    image, truth = bright_middle()
    attribution = torch.rand(SIZE, SIZE)
    metric = Faithfulness(seed=2)
    metric.update(brightness, image, attribution, truth, index=3)
    expected = {
        "faithfulness": faithfulness(brightness, image, attribution, seed=5),
        "context_faithfulness": faithfulness(brightness, image, attribution, keep=truth, seed=5),
    }
    values = metric.compute()
    assert list(values) == list(expected) == list(metric.figures)
    for name, value in expected.items():
        assert values[name].mean == pytest.approx(float(value))
    assert set(metric.figures.values()) == {True}
    patches = PatchFaithfulness(seed=2)
    patches.update(brightness, image, attribution, truth, index=3)
    own = patch_faithfulness(brightness, image, attribution, seed=5)
    assert own == faithfulness(brightness, image, attribution, patch=16, seed=5)
    assert patches.compute().mean == pytest.approx(float(own))
    assert own not in expected.values()
    # The score is that of the truth, which stays: its context has no effect.
    assert values["context_faithfulness"].mean == 0
    assert values["faithfulness"].mean != 0


def test_a_region_that_is_the_image_has_no_context() -> None:
    metric = Faithfulness()
    metric.update(white_pixel, bright(), bright()[0], torch.ones(1, 10, 10, dtype=torch.bool))
    values = metric.compute()
    assert values["context_faithfulness"].undefined == 1
    assert values["faithfulness"].mean == pytest.approx(0.95)
