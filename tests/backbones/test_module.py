import copy

import pytest
import torch
from torch import nn

from protoxai.backbones import ModuleBackbone, create_backbone
from protoxai.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from tests.backbones.contract import assert_keeps_contract


class Pyramid(nn.Module):
    """Three levels, given in the form that the test asks for."""

    def __init__(self, form):
        super().__init__()
        self.form = form
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 4, 1), nn.BatchNorm2d(6), nn.Dropout(0.5))
        self.middle = nn.Conv2d(6, 7, 3, 2, 1)
        self.deep = nn.Conv2d(7, 8, 3, 2, 1)

    def forward(self, images):
        fine = self.stem(images)
        middle = self.middle(fine)
        return self.form(fine, middle, self.deep(middle))


def last_map(fine, middle, deep):
    return deep


def as_list(*maps):
    return list(maps)


def as_tuple(*maps):
    return maps


def as_dict(fine, middle, deep):
    return {"fine": fine, "middle": middle, "deep": deep}


@pytest.mark.parametrize("form", [last_map, as_list, as_tuple, as_dict])
def test_the_last_map_by_default(form):
    backbone = create_backbone(Pyramid(form))
    assert (backbone.channels, backbone.reductions) == ((8,), (16,))
    assert_keeps_contract(backbone, (32, 48))


@pytest.mark.parametrize("form", [as_list, as_tuple, as_dict])
def test_levels_by_position_and_as_a_pyramid(form):
    chosen = create_backbone(Pyramid(form), levels=[-1, 0])
    assert (chosen.channels, chosen.reductions) == ((6, 8), (4, 16))
    assert_keeps_contract(chosen, (32, 48))
    pyramid = create_backbone(Pyramid(form), levels="pyramid", output_stride=8)
    assert (pyramid.channels, pyramid.reductions) == ((7, 8), (8, 16))
    assert_keeps_contract(pyramid, (32, 48))


def test_levels_by_name():
    backbone = create_backbone(Pyramid(as_dict), levels=["deep", "fine"])
    assert backbone.channels == (6, 8)
    with pytest.raises(ValueError, match=r"'coarse'.*'fine', 'middle', 'deep'"):
        create_backbone(Pyramid(as_dict), levels=["coarse"])


def test_the_dry_run_leaves_the_module_as_it_was():
    module = Pyramid(as_list)
    module.middle.eval()
    before = copy.deepcopy(module.state_dict())
    create_backbone(module)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert module.training
    assert module.stem[2].training
    assert not module.middle.training
    assert all(parameter.grad is None for parameter in module.parameters())


def test_the_dry_run_follows_dtype_and_device(device):
    backbone = create_backbone(Pyramid(last_map).double().to(device))
    assert backbone(torch.zeros(2, 3, 32, 32, device=device).double())[0].dtype == torch.float64


class OnlyLarge(nn.Module):
    def __init__(self, side):
        super().__init__()
        self.side = side
        self.conv = nn.Conv2d(3, 5, 8, 8)

    def forward(self, images):
        if images.shape[-1] < self.side:
            raise RuntimeError("too small")
        return self.conv(images)


def test_a_larger_image_is_tried_too():
    backbone = create_backbone(OnlyLarge(100))
    assert (backbone.channels, backbone.reductions) == ((5,), (8,))


def test_a_failing_dry_run_asks_for_channels():
    with pytest.raises(ValueError, match=r"OnlyLarge.*too small.*give feature_channels="):
        create_backbone(OnlyLarge(300))


@pytest.mark.parametrize("channels", [5, (5,), [5]])
def test_given_channels_need_no_dry_run(channels):
    backbone = create_backbone(OnlyLarge(300), feature_channels=channels)
    assert (backbone.channels, backbone.reductions) == ((5,), ())
    assert backbone(torch.zeros(1, 3, 304, 304))[0].shape == (1, 5, 38, 38)


def test_given_channels_that_are_not_the_modules():
    with pytest.raises(ValueError, match=r"feature_channels is \(9,\).*have \(8,\)"):
        create_backbone(Pyramid(last_map), feature_channels=9)
    backbone = create_backbone(OnlyLarge(300), feature_channels=9)
    with pytest.raises(ValueError, match=r"have \(5,\) channels, expected \(9,\)"):
        backbone(torch.zeros(1, 3, 304, 304))


def test_what_images_it_wants_is_read_off_the_module():
    module = nn.Conv2d(3, 4, 4, 4)
    assert (create_backbone(module).mean, create_backbone(module).std) == (
        IMAGENET_MEAN,
        IMAGENET_STD,
    )
    module.mean, module.std, module.divisor = [0.5, 0.4, 0.3], [0.1, 0.2, 0.3], 4
    backbone = create_backbone(module)
    assert (backbone.mean, backbone.std) == ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    with pytest.raises(ValueError, match="pad your images to 12x8"):
        backbone(torch.zeros(1, 3, 9, 8))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda *maps: None, "NoneType"),
        (lambda *maps: [], "list"),
        (lambda fine, *_: fine.flatten(2), r"\(1, 6, 256\).*reshape tokens"),
        (lambda *maps: [maps], "tuple"),
    ],
)
def test_something_else_than_maps(form, message):
    with pytest.raises(TypeError, match=message):
        create_backbone(Pyramid(form))


def test_copies_give_the_same_maps():
    backbone = ModuleBackbone(Pyramid(as_dict), levels=[0, 1]).eval()
    images = torch.randn(1, 3, 32, 32)
    for features, expected in zip(copy.deepcopy(backbone)(images), backbone(images), strict=True):
        assert torch.equal(features, expected)
