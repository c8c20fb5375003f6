import pytest
import torch
from scipy import ndimage

from protoxai.metrics.explanation.blur import gaussian_blur


@pytest.mark.parametrize("sigma", [0.6, 2.0])
def test_the_blur_agrees_with_scipy(sigma: float) -> None:
    images = torch.rand(2, 3, 9, 12, dtype=torch.float64)
    expected = ndimage.gaussian_filter(images.numpy(), (0, 0, sigma, sigma), mode="nearest")
    torch.testing.assert_close(gaussian_blur(images, sigma), torch.from_numpy(expected))
