import copy
from urllib.error import URLError

import pytest
import torch
from torchvision import models

from protoxai.backbones import create_backbone
from protoxai.backbones.base import IMAGENET_MEAN
from tests.backbones.contract import assert_keeps_contract
from tests.backbones.families import TORCHVISION_FAMILIES


@pytest.mark.parametrize(("spec", "size"), TORCHVISION_FAMILIES)
def test_families(spec, size):
    backbone = create_backbone(spec, pretrained=False)
    assert backbone.training
    assert len(assert_keeps_contract(backbone, size)) == 1
    assert backbone.mean == IMAGENET_MEAN


@pytest.mark.parametrize(
    ("spec", "channels", "reductions"),
    [
        ("torchvision/resnet50", (512, 1024, 2048), (8, 16, 32)),
        ("torchvision/mobilenet_v2", (32, 96, 1280), (8, 16, 32)),
        ("torchvision/swin_t", (192, 384, 768), (8, 16, 32)),
        ("torchvision/lraspp_mobilenet_v3_large", (40, 960), (8, 16)),
    ],
)
def test_pyramids_keep_their_natural_strides(spec, channels, reductions):
    backbone = create_backbone(spec, pretrained=False, levels="pyramid")
    assert (backbone.channels, backbone.reductions) == (channels, reductions)
    assert_keeps_contract(backbone, (64, 96))


def test_levels_are_the_last_maps_of_each_resolution():
    backbone = create_backbone("torchvision/resnet18", pretrained=False, levels=[0, 1, 2, 3, 4])
    assert backbone.channels == (64, 64, 128, 256, 512)
    assert backbone.reductions == (2, 4, 8, 16, 32)
    model = models.resnet18()
    model.load_state_dict(backbone.features.state_dict(), strict=False)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = backbone.eval()(images)
        stem = model.eval().relu(model.bn1(model.conv1(images)))
        first = model.layer1(model.maxpool(stem))
        last = model.layer4(model.layer3(model.layer2(first)))
    for features, expected in zip((maps[0], maps[1], maps[4]), (stem, first, last), strict=True):
        torch.testing.assert_close(features, expected)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_resnets_dilate(stride):
    backbone = create_backbone("torchvision/resnet50", pretrained=False, output_stride=stride)
    assert backbone.reductions == (stride,)
    assert_keeps_contract(backbone, (64, 96))


def test_tokens_of_a_vit_lie_on_their_grid():
    backbone = create_backbone("torchvision/vit_b_32", pretrained=False, levels=[0, -1])
    assert (backbone.channels, backbone.reductions) == ((768, 768), (32, 32))
    assert backbone.image_size == (224, 224)
    network = backbone.features.eval()
    torch.nn.init.zeros_(network.get_parameter("encoder.layers.encoder_layer_0.mlp.3.weight"))
    torch.nn.init.zeros_(
        network.get_parameter("encoder.layers.encoder_layer_0.self_attention.out_proj.weight")
    )
    images = torch.zeros(1, 3, 224, 224)
    changed = images.clone()
    changed[..., 32:64, 96:128] = 1
    with torch.no_grad():
        difference = (backbone(changed)[0] - backbone(images)[0]).abs().sum(1)[0]
    assert difference.nonzero().tolist() == [[1, 3]]


def test_both_levels_of_a_segmentation_trunk():
    backbone = create_backbone("torchvision/fcn_resnet50", pretrained=False, levels=["aux", "out"])
    assert (backbone.channels, backbone.reductions) == ((1024, 2048), (8, 8))
    assert_keeps_contract(backbone, (32, 48))


def test_a_segmentation_model_gives_its_trunk_the_weights(tmp_path):
    model = models.get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    backbone = create_backbone(
        "torchvision/lraspp_mobilenet_v3_large", pretrained=tmp_path / "weights.pt"
    )
    given = model.backbone.state_dict()
    assert all(
        torch.equal(value, given[key]) for key, value in backbone.features.state_dict().items()
    )


def test_copies_keep_the_mode_of_each_part():
    backbone = create_backbone("torchvision/resnet18", pretrained=False)
    backbone.features.bn1.eval()
    twin = copy.deepcopy(backbone)
    modes = {name: part.training for name, part in backbone.named_modules()}
    assert {name: part.training for name, part in twin.named_modules()} == modes
    assert len(set(modes.values())) == 2
    assert twin.features.bn1.weight is not backbone.features.bn1.weight


def test_an_unknown_name_gets_its_neighbours():
    with pytest.raises(ValueError, match=r"'resnet5O'.*did you mean.*'resnet50'"):
        create_backbone("torchvision/resnet5O", pretrained=False)


@pytest.mark.parametrize("spec", ["torchvision/resnet18", "deeplabv2/resnet50"])
def test_weights_that_cannot_be_had(monkeypatch, spec):
    def offline(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(ValueError, match=r"no route to host.*pretrained=False"):
        create_backbone(spec, pretrained=True)
