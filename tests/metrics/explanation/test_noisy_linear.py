import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai.metrics.explanation import noisy_linear
from protoxai.metrics.explanation.noisy_linear import impute_noisy_linear


def naive(image: Tensor, removed: Tensor) -> Tensor:
    """Solve the equations of all pixels of a map (H, W), written one by one."""
    height, width = image.shape
    system, right = np.eye(height * width), image.double().numpy().ravel().copy()
    for row in range(height):
        for col in range(width):
            if not removed[row, col]:
                continue
            weights = {}
            for down in (-1, 0, 1):
                for across in (-1, 0, 1):
                    other = row + down, col + across
                    inside = 0 <= other[0] < height and 0 <= other[1] < width
                    if inside and (down, across) != (0, 0):
                        weights[other[0] * width + other[1]] = 1 if down and across else 2
            number = row * width + col
            right[number] = 0
            for place, weight in weights.items():
                system[number, place] -= weight / sum(weights.values())
    return torch.from_numpy(np.linalg.solve(system, right)).reshape(height, width)


@pytest.fixture(autouse=True)
def without_noise(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "noise" not in request.node.name:
        monkeypatch.setattr(noisy_linear, "NOISE", 0.0)


def test_a_line_is_continued() -> None:
    ramp = torch.arange(5.0).expand(1, 5, 5)
    removed = torch.zeros(1, 5, 5, dtype=torch.bool)
    removed[0, 1:4, 1:4] = True
    torch.testing.assert_close(impute_noisy_linear(ramp, removed)[0], ramp)


@given(st.integers(2, 7), st.integers(2, 7), st.sampled_from([0.1, 0.6, 0.95]), st.integers(0, 99))
@settings(max_examples=20)
def test_agrees_with_the_equations(height: int, width: int, share: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(2, height, width, generator=generator, dtype=torch.float64)
    removed = torch.rand(3, height, width, generator=generator) < share
    removed[:, 0, 0] = False
    filled = impute_noisy_linear(image, removed)
    for one, mask in zip(filled, removed, strict=True):
        assert torch.equal(one[:, ~mask], image[:, ~mask])
        for channel, own in zip(one, image, strict=True):
            torch.testing.assert_close(channel, naive(own, mask))


def test_without_a_known_pixel_the_mean_is_left() -> None:
    image = torch.tensor([[[1.0, 3.0]], [[0.0, 8.0]]])
    filled = impute_noisy_linear(image, torch.ones(1, 1, 2, dtype=torch.bool))
    assert filled.tolist() == [[[[2.0, 2.0]], [[4.0, 4.0]]]]


def test_noise_is_small_and_the_same_in_every_call() -> None:
    image = torch.randn(3, 40, 40)
    removed = torch.ones(2, 40, 40, dtype=torch.bool)
    removed[1, 0] = False
    first, again = (impute_noisy_linear(image, removed) for _ in range(2))
    assert torch.equal(first, again)
    spread = (first[0] - image.mean((1, 2), keepdim=True)).std((1, 2)) / image.std((1, 2))
    torch.testing.assert_close(spread, torch.full((3,), noisy_linear.NOISE), rtol=0.1, atol=0)
