"""Models so simple that every method's result can be worked out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from protoxai import LinearSegmenter
from protoxai.attribution import CaptumAttribution, SegmentationTarget
from protoxai.attribution.captum_methods import WITH_UNITS
from protoxai.attribution.superpixels import superpixels
from tests.attribution.toys import (
    WEIGHT,
    Colours,
    Sizes,
    Squares,
    few,
    linear_trunk_model,
    some_tasks,
)
from tests.toys import Trunk


def shares(images: Tensor, region: Tensor, classes: Tensor) -> Tensor:
    """What each pixel adds to the mean over the region of a linear model's logit."""
    own = torch.einsum("bc,bchw->bhw", torch.tensor(WEIGHT)[classes], images)
    return own * region / region.sum((1, 2), keepdim=True)


def test_saliency_by_hand() -> None:
    images, region, classes = some_tasks()
    result = CaptumAttribution("Saliency", Colours(WEIGHT))(images, region, classes)
    steepness = torch.tensor([3.5, 4.0])[:, None, None]
    expected = steepness * region / region.sum((1, 2), keepdim=True)
    torch.testing.assert_close(result.map, expected)
    signed = CaptumAttribution("Saliency", Colours(WEIGHT), abs=False)(images, region, classes)
    torch.testing.assert_close(
        signed.map, expected / steepness * torch.tensor([-0.5, 2])[:, None, None]
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [("InputXGradient", {}), ("IntegratedGradients", {}), ("GradientShap", {"stdevs": 0.0})],
)
def test_gradient_methods_by_hand(name: str, options: dict) -> None:
    batch = some_tasks()
    result = CaptumAttribution(name, Colours(WEIGHT), **options)(*batch)
    torch.testing.assert_close(result.map, shares(*batch))
    assert result.units is None


def test_gradient_shap_moves_with_its_noise() -> None:
    batch = some_tasks()
    result = CaptumAttribution("GradientShap", Colours(WEIGHT), n_samples=400, stdevs=0.5)(*batch)
    off = (result.map - shares(*batch)).abs()
    assert off.max() > 1e-4
    torch.testing.assert_close(result.map, shares(*batch), rtol=0, atol=0.05)


def test_occlusion_by_hand() -> None:
    batch = some_tasks()
    result = CaptumAttribution("Occlusion", Colours(WEIGHT), sliding_window_shapes=(3, 4, 2))(
        *batch
    )
    blocks = F.avg_pool2d(shares(*batch), (4, 2)) * 8
    expected = blocks.repeat_interleave(4, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(result.map, expected)


def test_occlusion_by_default_is_a_grid_of_windows() -> None:
    batch = some_tasks((16, 20))
    result = CaptumAttribution("Occlusion", Colours(WEIGHT))(*batch)
    assert result.cost.forward_passes == 2 * (1 + 8 * 7)
    torch.testing.assert_close(
        result.map[:, :2, :3].flatten(1), result.map[:, :1, :1].flatten(1).expand(2, 6)
    )


@pytest.mark.parametrize("name", ["FeatureAblation", "KernelShap"])
def test_superpixel_methods_by_hand(name: str) -> None:
    batch = some_tasks((16, 20))
    result = CaptumAttribution(name, Colours(WEIGHT), segments=6)(*batch)
    own = shares(*batch)
    for i, parts in enumerate(superpixels(batch[0], 6)):
        assert parts.max() >= 3
        for part in range(int(parts.max()) + 1):
            inside = parts == part
            expected = own[i][inside].sum().expand(int(inside.sum()))
            torch.testing.assert_close(result.map[i][inside], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "factor", "options"),
    [
        ("LayerGradientXActivation", 2, {}),
        ("LayerConductance", 1 - 1 / 50, {}),
        ("LayerConductance", 1 - 1 / 8, {"n_steps": 8}),
        ("LayerIntegratedGradients", 1, {"n_steps": 5}),
    ],
)
def test_layer_methods_by_hand(name: str, factor: float, options: dict) -> None:
    images, region, classes = some_tasks()
    result = CaptumAttribution(name, Squares(), **options)(images, region, classes)
    sign = torch.tensor([1.0, -1.0])[:, None, None, None]
    share = region / region.sum((1, 2), keepdim=True)
    parts = sign * torch.tensor([1.0, -3.0])[:, None, None] * 4 * images[:, :2] ** 2
    parts = factor * parts * share[:, None]
    torch.testing.assert_close(result.map, parts.sum(1))
    torch.testing.assert_close(result.units, parts.sum((2, 3)))


def test_grad_cam_by_hand() -> None:
    images, region, classes = some_tasks()
    result = CaptumAttribution("LayerGradCam", Squares())(images, region, classes)
    features = 2 * images[:, :2]
    sign = torch.tensor([1.0, -1.0])[:, None, None, None]
    share = region / region.sum((1, 2), keepdim=True)
    gradient = sign * torch.tensor([1.0, -3.0])[:, None, None] * 2 * features * share[:, None]
    expected = (gradient.mean((2, 3), keepdim=True) * features).sum(1)
    torch.testing.assert_close(result.map, expected)
    assert result.units is None


@pytest.mark.parametrize("name", WITH_UNITS)
def test_every_call_of_the_layer_counts(name: str) -> None:
    images, region, _ = some_tasks((8, 12))
    classes = torch.tensor([2, 0])
    result = (
        CaptumAttribution(name, Sizes(), n_steps=4)(images, region, classes)
        if (name != "LayerGradientXActivation")
        else CaptumAttribution(name, Sizes())(images, region, classes)
    )
    explained = SegmentationTarget(Sizes())(images, region, classes)
    torch.testing.assert_close(result.units.sum(1), explained)
    torch.testing.assert_close(result.map.sum((1, 2)), explained)
    assert (result.units != 0).tolist() == [[False, False, True], [True, False, False]]


@pytest.mark.parametrize("name", ["IntegratedGradients", "GradientShap"])
def test_integrated_gradients_are_complete(name: str) -> None:
    model = linear_trunk_model().double()
    images, region, classes = some_tasks((16, 20), (0, 2))
    images = images.double()
    options = {"n_steps": 400} if name == "IntegratedGradients" else {"n_samples": 400}
    result = CaptumAttribution(name, model, **options)(images, region, classes)
    target = SegmentationTarget(model)
    gain = target(images, region, classes) - target(images * 0, region, classes)
    tolerance = 0.02 if name == "IntegratedGradients" else 0.3
    torch.testing.assert_close(result.map.sum((1, 2)), gain, rtol=tolerance, atol=tolerance)


def test_layers_of_both_our_models_are_their_trunk() -> None:
    batch = some_tasks((16, 20))
    for model in (linear_trunk_model(), LinearSegmenter(Trunk(), 2, input_scales=(0.5,))):
        result = few("LayerIntegratedGradients", model)(*batch)
        assert result.units.shape == (2, 12)
        target = SegmentationTarget(model.eval())
        gain = target(*batch) - target(batch[0] * 0, *batch[1:])
        close = CaptumAttribution("LayerIntegratedGradients", model, n_steps=200)(*batch)
        torch.testing.assert_close(close.units.sum(1), gain, rtol=0.05, atol=0.05)
        torch.testing.assert_close(close.map.sum((1, 2)), gain, rtol=0.05, atol=0.05)


def test_layers_by_name_and_by_themselves() -> None:
    model = linear_trunk_model()
    batch = some_tasks((16, 20))
    named = few("LayerGradCam", model, layer="scales")(*batch)
    itself = few("LayerGradCam", model, layer=model.scales)(*batch)
    torch.testing.assert_close(named.map, itself.map)
    units = few("LayerGradientXActivation", model, layer="scales")(*batch).units
    assert units.shape == (2, model.scales.num_scales * model.scales.dim)
