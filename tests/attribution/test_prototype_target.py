import pytest
import torch
from captum.attr import InputXGradient, IntegratedGradients
from torch import Tensor

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.attribution import PrototypeTarget
from protoxai.runtime.resize import resize
from tests.toys import small_model

SIZE = (16, 24)


@pytest.fixture(scope="module")
def model() -> ScaleProtoSeg:
    return small_model(3).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def region() -> Tensor:
    return torch.rand(2, *SIZE, generator=torch.Generator().manual_seed(1)) > 0.7


@pytest.mark.parametrize("prototype", [0, 4])
def test_mean_and_peak_agree_with_a_loop(
    model: ScaleProtoSeg, images: Tensor, region: Tensor, prototype: int
) -> None:
    with torch.no_grad():
        maps = resize(model(images).activations, images.shape[2:])[:, prototype]
        mean, peak = (
            PrototypeTarget(model, prototype, r)(images, region) for r in ("mean", "peak")
        )
    for row in range(2):
        inside = [
            float(maps[row, r, c])
            for r in range(SIZE[0])
            for c in range(SIZE[1])
            if region[row, r, c]
        ]
        assert float(mean[row]) == pytest.approx(sum(inside) / len(inside), rel=1e-5)
        assert float(peak[row]) == pytest.approx(max(inside), rel=1e-5)


def test_an_empty_region_is_nan(model: ScaleProtoSeg, images: Tensor, region: Tensor) -> None:
    region = region.clone()
    region[1] = False
    for reduction in ("mean", "peak"):
        found = PrototypeTarget(model, 0, reduction)(images, region)
        assert found.isnan().tolist() == [False, True]


def test_captum_explains_a_prototype(model: ScaleProtoSeg, images: Tensor, region: Tensor) -> None:
    target = PrototypeTarget(model, 2)
    inputs = images.clone().requires_grad_()
    found = InputXGradient(target).attribute(inputs, additional_forward_args=(region,))
    (gradient,) = torch.autograd.grad(target(inputs, region).sum(), inputs)
    torch.testing.assert_close(found.detach(), (images * gradient).detach())
    assert float(found.detach().abs().max()) > 0
    # Captum repeats the region with the steps, and the attributions add up to the difference.
    found = IntegratedGradients(target).attribute(
        images, additional_forward_args=(region,), n_steps=100, internal_batch_size=8
    )
    with torch.no_grad():
        difference = target(images, region) - target(torch.zeros_like(images), region)
    torch.testing.assert_close(found.sum((1, 2, 3)).float(), difference, rtol=0.05, atol=5e-3)


def test_what_does_not_fit_is_named(model: ScaleProtoSeg, images: Tensor) -> None:
    with pytest.raises(ValueError, match="prototype is 99"):
        PrototypeTarget(model, 99)
    with pytest.raises(TypeError, match="SegmentationTarget"):
        PrototypeTarget(LinearSegmenter(torch.nn.Conv2d(3, 8, 3, stride=8), 2), 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="region"):
        PrototypeTarget(model, 0)(images, torch.ones(2, 3, 3, dtype=torch.bool))
    assert "prototype=1, reduction='mean'" in repr(PrototypeTarget(model, 1))


def test_a_region_of_cells_is_read_on_the_feature_grid(
    model: ScaleProtoSeg, images: Tensor
) -> None:
    cells = torch.zeros(2, 4, 6, dtype=torch.bool)
    cells[0, 3, 5] = cells[1, 0, 2] = True
    with torch.no_grad():
        activations = model(images).activations[:, 1]
        found = PrototypeTarget(model, 1)(images, cells)
    assert found.tolist() == [float(activations[0, 3, 5]), float(activations[1, 0, 2])]
    with pytest.raises(ValueError, match=r"region.*got shape \(2, 4, 5\).*size of images"):
        PrototypeTarget(model, 1)(images, cells[..., :5])
