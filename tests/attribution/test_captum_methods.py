import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoxai import LinearSegmenter
from protoxai.attribution import CaptumAttribution, SegmentationTarget
from protoxai.attribution.captum_methods import LAYER_METHODS, METHODS, WITH_CHANCE, WITH_UNITS
from protoxai.attribution.superpixels import superpixels
from tests.attribution.toys import Colours, Sizes, Squares, assert_one_by_one, question
from tests.toys import Trunk, modes, small_model

WEIGHT = [[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]]
FEW = {
    "IntegratedGradients": {"n_steps": 4},
    "LayerConductance": {"n_steps": 4},
    "LayerIntegratedGradients": {"n_steps": 4},
    "GradientShap": {"n_samples": 3},
    "KernelShap": {"segments": 4},
    "FeatureAblation": {"segments": 4},
}
EVERY = pytest.mark.parametrize("name", METHODS)


def few(name: str, model: nn.Module, **options) -> CaptumAttribution:
    """The method with as few passes as it can do with."""
    return CaptumAttribution(name, model, **{**FEW.get(name, {}), **options})


def shares(images: Tensor, region: Tensor, classes: Tensor) -> Tensor:
    """What each pixel adds to the mean over the region of a linear model's logit."""
    own = torch.einsum("bc,bchw->bhw", torch.tensor(WEIGHT)[classes], images)
    return own * region / region.sum((1, 2), keepdim=True)


def linear_trunk_model() -> nn.Module:
    model = small_model().group()
    model.head.weight.data.normal_()
    return model.eval()


def test_saliency_by_hand() -> None:
    images, region, classes = question()
    found = CaptumAttribution("Saliency", Colours(WEIGHT))(images, region, classes)
    steepness = torch.tensor([3.5, 4.0])[:, None, None]
    expected = steepness * region / region.sum((1, 2), keepdim=True)
    torch.testing.assert_close(found.map, expected)
    signed = CaptumAttribution("Saliency", Colours(WEIGHT), abs=False)(images, region, classes)
    torch.testing.assert_close(
        signed.map, expected / steepness * torch.tensor([-0.5, 2])[:, None, None]
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [("InputXGradient", {}), ("IntegratedGradients", {}), ("GradientShap", {"stdevs": 0.0})],
)
def test_gradient_methods_by_hand(name: str, options: dict) -> None:
    asked = question()
    found = CaptumAttribution(name, Colours(WEIGHT), **options)(*asked)
    torch.testing.assert_close(found.map, shares(*asked))
    assert found.units is None


def test_gradient_shap_moves_with_its_noise() -> None:
    asked = question()
    found = CaptumAttribution("GradientShap", Colours(WEIGHT), n_samples=400, stdevs=0.5)(*asked)
    off = (found.map - shares(*asked)).abs()
    assert off.max() > 1e-4
    torch.testing.assert_close(found.map, shares(*asked), rtol=0, atol=0.05)


def test_occlusion_by_hand() -> None:
    asked = question()
    found = CaptumAttribution("Occlusion", Colours(WEIGHT), sliding_window_shapes=(3, 4, 2))(*asked)
    blocks = F.avg_pool2d(shares(*asked), (4, 2)) * 8
    expected = blocks.repeat_interleave(4, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(found.map, expected)


def test_occlusion_by_default_is_a_grid_of_windows() -> None:
    asked = question((16, 20))
    found = CaptumAttribution("Occlusion", Colours(WEIGHT))(*asked)
    assert found.cost.forward_passes == 2 * (1 + 8 * 7)
    torch.testing.assert_close(
        found.map[:, :2, :3].flatten(1), found.map[:, :1, :1].flatten(1).expand(2, 6)
    )


@pytest.mark.parametrize("name", ["FeatureAblation", "KernelShap"])
def test_superpixel_methods_by_hand(name: str) -> None:
    asked = question((16, 20))
    found = CaptumAttribution(name, Colours(WEIGHT), segments=6)(*asked)
    own = shares(*asked)
    for i, parts in enumerate(superpixels(asked[0], 6)):
        assert parts.max() >= 3
        for part in range(int(parts.max()) + 1):
            inside = parts == part
            expected = own[i][inside].sum().expand(int(inside.sum()))
            torch.testing.assert_close(found.map[i][inside], expected, rtol=1e-3, atol=1e-4)


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
    images, region, classes = question()
    found = CaptumAttribution(name, Squares(), **options)(images, region, classes)
    sign = torch.tensor([1.0, -1.0])[:, None, None, None]
    share = region / region.sum((1, 2), keepdim=True)
    parts = sign * torch.tensor([1.0, -3.0])[:, None, None] * 4 * images[:, :2] ** 2
    parts = factor * parts * share[:, None]
    torch.testing.assert_close(found.map, parts.sum(1))
    torch.testing.assert_close(found.units, parts.sum((2, 3)))


def test_grad_cam_by_hand() -> None:
    images, region, classes = question()
    found = CaptumAttribution("LayerGradCam", Squares())(images, region, classes)
    features = 2 * images[:, :2]
    sign = torch.tensor([1.0, -1.0])[:, None, None, None]
    share = region / region.sum((1, 2), keepdim=True)
    gradient = sign * torch.tensor([1.0, -3.0])[:, None, None] * 2 * features * share[:, None]
    expected = (gradient.mean((2, 3), keepdim=True) * features).sum(1)
    torch.testing.assert_close(found.map, expected)
    assert found.units is None


@pytest.mark.parametrize("name", WITH_UNITS)
def test_every_call_of_the_layer_counts(name: str) -> None:
    images, region, _ = question((8, 12))
    classes = torch.tensor([2, 0])
    found = (
        CaptumAttribution(name, Sizes(), n_steps=4)(images, region, classes)
        if (name != "LayerGradientXActivation")
        else CaptumAttribution(name, Sizes())(images, region, classes)
    )
    explained = SegmentationTarget(Sizes())(images, region, classes)
    torch.testing.assert_close(found.units.sum(1), explained)
    torch.testing.assert_close(found.map.sum((1, 2)), explained)
    assert (found.units != 0).tolist() == [[False, False, True], [True, False, False]]


@pytest.mark.parametrize("name", ["IntegratedGradients", "GradientShap"])
def test_integrated_gradients_are_complete(name: str) -> None:
    model = linear_trunk_model().double()
    images, region, classes = question((16, 20), (0, 2))
    images = images.double()
    options = {"n_steps": 400} if name == "IntegratedGradients" else {"n_samples": 400}
    found = CaptumAttribution(name, model, **options)(images, region, classes)
    target = SegmentationTarget(model)
    gain = target(images, region, classes) - target(images * 0, region, classes)
    tolerance = 0.02 if name == "IntegratedGradients" else 0.3
    torch.testing.assert_close(found.map.sum((1, 2)), gain, rtol=tolerance, atol=tolerance)


def test_layers_of_both_our_models_are_their_trunk() -> None:
    asked = question((16, 20))
    for model in (linear_trunk_model(), LinearSegmenter(Trunk(), 2, input_scales=(0.5,))):
        found = few("LayerIntegratedGradients", model)(*asked)
        assert found.units.shape == (2, 12)
        target = SegmentationTarget(model.eval())
        gain = target(*asked) - target(asked[0] * 0, *asked[1:])
        close = CaptumAttribution("LayerIntegratedGradients", model, n_steps=200)(*asked)
        torch.testing.assert_close(close.units.sum(1), gain, rtol=0.05, atol=0.05)
        torch.testing.assert_close(close.map.sum((1, 2)), gain, rtol=0.05, atol=0.05)


def test_layers_by_name_and_by_themselves() -> None:
    model = linear_trunk_model()
    asked = question((16, 20))
    named = few("LayerGradCam", model, layer="scales")(*asked)
    itself = few("LayerGradCam", model, layer=model.scales)(*asked)
    torch.testing.assert_close(named.map, itself.map)
    units = few("LayerGradientXActivation", model, layer="scales")(*asked).units
    assert units.shape == (2, model.scales.num_scales * model.scales.dim)


@EVERY
def test_unequal_images_are_explained_one_by_one(name: str) -> None:
    method = few(name, linear_trunk_model())
    assert_one_by_one(method, question((16, 20), (0, 2, 1)), rtol=1e-3, atol=1e-5)


@EVERY
def test_an_empty_region_is_undefined_and_leaves_the_others_alone(name: str) -> None:
    method = few(name, linear_trunk_model())
    images, region, classes = question((16, 20), (0, 2))
    region[0] = False
    found = method(images, region, classes)
    alone = method(images[1:], region[1:], classes[1:])
    assert found.map[0].isnan().all()
    torch.testing.assert_close(found.map[1:], alone.map, rtol=1e-3, atol=1e-5)
    if found.units is not None:
        assert found.units[0].isnan().all()
        torch.testing.assert_close(found.units[1:], alone.units, rtol=1e-3, atol=1e-5)


@EVERY
def test_explaining_leaves_no_trace(name: str) -> None:
    model = linear_trunk_model().train()
    images, region, classes = question((16, 20), (0, 2))
    before, state = modes(model), {k: v.clone() for k, v in model.state_dict().items()}
    generators = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    copies = images.clone(), region.clone()
    found = few(name, model)(images, region, classes)
    assert modes(model) == before
    assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.equal(images, copies[0])
    assert not images.requires_grad
    assert torch.equal(region, copies[1])
    assert not found.map.requires_grad
    if name in WITH_CHANCE:
        assert torch.equal(torch.get_rng_state(), generators[0])
        assert (np.random.get_state()[1] == generators[1]).all()  # noqa: NPY002


@EVERY
def test_the_same_seed_gives_the_same_map(name: str) -> None:
    model, asked = linear_trunk_model(), question((16, 20), (0, 2))
    first, second = few(name, model, seed=3)(*asked), few(name, model, seed=3)(*asked)
    assert torch.equal(first.map, second.map)
    other = few(name, model, seed=4)(*asked)
    assert torch.equal(first.map, other.map) == (name not in WITH_CHANCE)


@EVERY
@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_off(name: str, off) -> None:
    method = few(name, linear_trunk_model())
    with off():
        found = method(*question((16, 20), (0, 2)))
    assert found.map.isfinite().all()


@EVERY
def test_torchvision_models(name: str, deeplab: nn.Module) -> None:
    images, region, classes = question((32, 32), (0, 20))
    found = few(name, deeplab)(images, region, classes)
    assert found.map.shape == (2, 32, 32)
    assert found.map.isfinite().all()
    assert found.map.any(2).any(1).all()
    if name in WITH_UNITS:
        assert found.units.shape == (2, 960)


@pytest.fixture(scope="module")
def deeplab() -> nn.Module:
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

    torch.manual_seed(0)
    model = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, aux_loss=True)
    # Untrained, the image fades away on its long way unless its statistics are known.
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    model.train()(torch.randn(4, 3, 64, 64))
    return model


@pytest.mark.parametrize(
    ("name", "forward", "backward"),
    [
        ("Saliency", 2, 2),
        ("IntegratedGradients", 8, 8),
        ("GradientShap", 6, 6),
        ("KernelShap", 32, 0),
        ("LayerGradCam", 2, 2),
        ("LayerConductance", 16, 16),
        ("LayerIntegratedGradients", 12, 8),
    ],
)
def test_passes_are_counted(name: str, forward: int, backward: int) -> None:
    cost = few(name, linear_trunk_model())(*question((16, 20), (0, 2))).cost
    assert (cost.forward_passes, cost.backward_passes) == (forward, backward)


@pytest.mark.parametrize(
    ("given", "largest"),
    [({}, 2), ({"internal_batch_size": 6}, 6), ({"internal_batch_size": 1}, 2)],
)
def test_steps_are_taken_a_batch_at_a_time(given: dict, largest: int) -> None:
    model = Colours(WEIGHT)
    sizes = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    found = CaptumAttribution("IntegratedGradients", model, n_steps=6, **given)(*question())
    assert max(sizes) == largest
    assert found.cost.forward_passes == sum(sizes) == 12


@pytest.mark.slow
def test_memory_of_integrated_gradients_is_that_of_two_passes() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 4, 1),
    )
    asked = question((512, 512), (0,))
    target = SegmentationTarget(model)

    def once() -> None:
        images = asked[0].clone().requires_grad_()
        torch.autograd.grad(target(images, *asked[1:]).sum(), images)

    method = CaptumAttribution("IntegratedGradients", model, n_steps=50)
    assert peak_bytes(lambda: method(*asked)) <= 2 * peak_bytes(once)
    greedy = CaptumAttribution("IntegratedGradients", model, n_steps=50, internal_batch_size=10)
    assert peak_bytes(lambda: greedy(*asked)) > 2 * peak_bytes(once)


def peak_bytes(work) -> int:
    """The most bytes that PyTorch's allocator had given out at once."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        work()
    changes = [
        (event.start_ns(), event.nbytes())
        for event in profile.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    given = np.cumsum([change for _, change in sorted(changes, key=lambda change: change[0])])
    return int(given.max())


def test_captum_does_not_warn_of_layers_but_others_may() -> None:
    class Warns(Sizes):
        def forward(self, images: Tensor) -> Tensor:
            warnings.warn("the user's own", stacklevel=1)
            return super().forward(images)

    method = few("LayerIntegratedGradients", Warns())
    with pytest.warns(UserWarning, match="the user's own") as caught:
        method(*question())
    assert {str(warning.message) for warning in caught} == {"the user's own"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("IntegratedGradient", "did you mean IntegratedGradients"),
        ("saliency", "did you mean Saliency"),
        ("zzz", r"no method 'zzz': Expected one of \('Saliency'"),
    ],
)
def test_unknown_names_come_with_close_ones(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CaptumAttribution(name, Colours(WEIGHT))


@pytest.mark.parametrize(
    ("name", "option"), [("Saliency", "n_steps"), ("IntegratedGradients", "target")]
)
def test_unknown_options_are_refused(name: str, option: str) -> None:
    with pytest.raises(TypeError, match=rf"{name} has no options \['{option}'\], expected some"):
        CaptumAttribution(name, Colours(WEIGHT), **{option: 1})


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (None, r"Sequential has none of.*layer=, among \['0', '1'\]"),
        ("2", r"no layer '2': it has \['0', '1'\]"),
        (nn.ReLU(), "ReLU is no part of the model"),
    ],
)
def test_layers_that_are_not_there_are_refused(layer, message: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1))
    with pytest.raises(ValueError, match=message):
        CaptumAttribution("LayerGradCam", model, layer=layer)


@pytest.mark.parametrize("name", LAYER_METHODS)
def test_layers_without_maps_are_refused(name: str) -> None:
    model = Squares()
    model.spare = nn.Conv2d(3, 2, 1)
    with pytest.raises(ValueError, match="Conv2d takes no part in the model's forward pass"):
        few(name, model, layer="spare")(*question())
    model.backbone = nn.Sequential(model.backbone, nn.Flatten(2), nn.Unflatten(2, (8, 8)))
    with pytest.raises(ValueError, match=r"\(\d+, 2, 64\), expected feature maps"):
        few(name, model, layer="backbone.1")(*question())


def test_a_single_superpixel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"single superpixel.*raise segments, now 1"):
        CaptumAttribution("KernelShap", Colours(WEIGHT), segments=1)(*question())


@EVERY
def test_classes_the_model_has_not_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="holds 3, expected 0 to 2"):
        few(name, linear_trunk_model())(*question((16, 20), (0, 3)))


@EVERY
def test_device(name: str, device: torch.device) -> None:
    model, asked = linear_trunk_model(), question((16, 20), (0, 2))
    expected = few(name, model)(*asked)
    found = few(name, model.to(device))(*(part.to(device) for part in asked))
    assert found.map.device.type == device.type
    torch.testing.assert_close(found.map.cpu(), expected.map, rtol=1e-2, atol=1e-3)
    assert (found.cost.peak_memory is None) == (device.type == "cpu")
