"""What every one of Captum's methods keeps to."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from protoxai import ScaleProtoSeg
from protoxai.attribution import CaptumAttribution
from protoxai.attribution.captum_methods import LAYER_METHODS, METHODS, RANDOM, WITH_UNITS
from tests.attribution.toys import (
    WEIGHT,
    Colours,
    Sizes,
    Squares,
    assert_one_by_one,
    few,
    linear_trunk_model,
    some_tasks,
)
from tests.toys import modes

EVERY = pytest.mark.parametrize("name", METHODS)


@EVERY
def test_unequal_images_are_explained_one_by_one(name: str) -> None:
    method = few(name, linear_trunk_model())
    assert_one_by_one(method, some_tasks((16, 20), (0, 2, 1)), rtol=1e-3, atol=1e-5)


@EVERY
def test_an_empty_region_is_undefined_and_leaves_the_others_alone(name: str) -> None:
    method = few(name, linear_trunk_model())
    images, region, classes = some_tasks((16, 20), (0, 2))
    region[0] = False
    result = method(images, region, classes)
    alone = method(images[1:], region[1:], classes[1:])
    assert result.map[0].isnan().all()
    torch.testing.assert_close(result.map[1:], alone.map, rtol=1e-3, atol=1e-5)
    if result.units is not None:
        assert result.units[0].isnan().all()
        torch.testing.assert_close(result.units[1:], alone.units, rtol=1e-3, atol=1e-5)


@EVERY
def test_explaining_leaves_no_trace(name: str) -> None:
    model = linear_trunk_model().train()
    images, region, classes = some_tasks((16, 20), (0, 2))
    before, state = modes(model), {k: v.clone() for k, v in model.state_dict().items()}
    generators = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    copies = images.clone(), region.clone()
    result = few(name, model)(images, region, classes)
    assert modes(model) == before
    assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.equal(images, copies[0])
    assert not images.requires_grad
    assert torch.equal(region, copies[1])
    assert not result.map.requires_grad
    if name in RANDOM:
        assert torch.equal(torch.get_rng_state(), generators[0])
        assert (np.random.get_state()[1] == generators[1]).all()  # noqa: NPY002


@EVERY
def test_the_same_seed_gives_the_same_map(name: str) -> None:
    model, batch = linear_trunk_model(), some_tasks((16, 20), (0, 2))
    first, second = few(name, model, seed=3)(*batch), few(name, model, seed=3)(*batch)
    assert torch.equal(first.map, second.map)
    other = few(name, model, seed=4)(*batch)
    assert torch.equal(first.map, other.map) == (name not in RANDOM)


@EVERY
@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_off(name: str, off) -> None:
    method = few(name, linear_trunk_model())
    with off():
        result = method(*some_tasks((16, 20), (0, 2)))
    assert result.map.isfinite().all()


@EVERY
def test_torchvision_models(name: str, deeplab: nn.Module) -> None:
    images, region, classes = some_tasks((32, 32), (0, 20))
    result = few(name, deeplab)(images, region, classes)
    assert result.map.shape == (2, 32, 32)
    assert result.map.isfinite().all()
    assert result.map.any(2).any(1).all()
    if name in WITH_UNITS:
        assert result.units.shape == (2, 960)


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


def test_captum_does_not_warn_about_layers_but_others_may() -> None:
    class Warns(Sizes):
        def forward(self, images: Tensor) -> Tensor:
            warnings.warn("the user's own", stacklevel=1)
            return super().forward(images)

    method = few("LayerIntegratedGradients", Warns())
    with pytest.warns(UserWarning, match="the user's own") as caught:
        method(*some_tasks())
    assert {str(warning.message) for warning in caught} == {"the user's own"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("IntegratedGradient", "did you mean 'IntegratedGradients'"),
        ("saliency", "did you mean 'Saliency'"),
        ("zzz", "name is 'zzz', expected one of 'Saliency', "),
    ],
)
def test_unknown_names_come_with_close_ones(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CaptumAttribution(name, Colours(WEIGHT))


@pytest.mark.parametrize(
    ("name", "option"), [("Saliency", "n_steps"), ("IntegratedGradients", "target")]
)
def test_unknown_options_are_refused(name: str, option: str) -> None:
    with pytest.raises(TypeError, match=f"{name} has no option '{option}'.*; expected some of"):
        CaptumAttribution(name, Colours(WEIGHT), **{option: 1})


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (None, r"Sequential has none of.*layer=, among \['0', '1'\]"),
        ("2", r"no layer '2': it has \['0', '1'\]"),
        (nn.ReLU(), "ReLU is not part of the model"),
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
        few(name, model, layer="spare")(*some_tasks())
    model.backbone = nn.Sequential(model.backbone, nn.Flatten(2), nn.Unflatten(2, (8, 8)))
    with pytest.raises(ValueError, match=r"\(\d+, 2, 64\), expected feature maps"):
        few(name, model, layer="backbone.1")(*some_tasks())


def test_a_single_superpixel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"single superpixel.*raise segments, which is 1"):
        CaptumAttribution("KernelShap", Colours(WEIGHT), segments=1)(*some_tasks())


@EVERY
def test_unknown_classes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="holds 3, expected 0 to 2"):
        few(name, linear_trunk_model())(*some_tasks((16, 20), (0, 3)))


@EVERY
def test_device(name: str, device: torch.device) -> None:
    model, batch = linear_trunk_model(), some_tasks((16, 20), (0, 2))
    expected = few(name, model)(*batch)
    result = few(name, model.to(device))(*(part.to(device) for part in batch))
    assert result.map.device.type == device.type
    torch.testing.assert_close(result.map.cpu(), expected.map, rtol=1e-2, atol=1e-3)
    assert (result.cost.peak_memory is None) == (device.type == "cpu")


def test_stages_of_torchvision_trunks_are_layers() -> None:
    model = ScaleProtoSeg("torchvision/resnet18", 2, prototype_dim=4, pretrained=False)
    task = torch.rand(1, 3, 32, 32), torch.ones(1, 32, 32, dtype=torch.bool), torch.tensor([1])
    for layer in ("backbone", "backbone.features.layer3", "backbone.features.layer4.1"):
        assert CaptumAttribution("LayerGradCam", model, layer=layer)(*task).map.isfinite().all()


def test_a_missing_layer_comes_with_names_that_exist() -> None:
    model = Colours(WEIGHT)
    with pytest.raises(ValueError, match=r"has no layer 'backbone\.layer4'") as error:
        CaptumAttribution("LayerGradCam", model, layer="backbone.layer4")
    assert "such as 'backbone.layer4'" not in str(error.value)
    with pytest.raises(TypeError, match="layer is 3, expected a module of the model, its name"):
        CaptumAttribution("LayerGradCam", model, layer=3)  # type: ignore[arg-type]
