import pytest
import torch
from torch import nn
from torchvision import models

from protoxai.backbones import DeepLabV2ResNet, create_backbone
from protoxai.backbones.base import IMAGENET_MEAN, IMAGENET_STD


@pytest.fixture
def trunk():
    return DeepLabV2ResNet(blocks=(2, 2, 2, 2), base_width=8)


def blocks(trunk):
    return [[*trunk.get_submodule(f"layer{stage}")] for stage in (1, 2, 3, 4)]


def test_the_stride_sits_in_the_first_convolution(trunk):
    strides = [[block.conv1.stride[0] for block in layer] for layer in blocks(trunk)]
    assert strides == [[1, 1], [2, 1], [1, 1], [1, 1]]
    assert {block.conv2.stride for layer in blocks(trunk) for block in layer} == {(1, 1)}
    shortcuts = [layer[0].downsample[0].stride[0] for layer in blocks(trunk)]
    assert shortcuts == [1, 2, 1, 1]


def test_every_block_has_its_stages_dilation(trunk):
    dilations = [[block.conv2.dilation[0] for block in layer] for layer in blocks(trunk)]
    paddings = [[block.conv2.padding[0] for block in layer] for layer in blocks(trunk)]
    assert dilations == paddings == [[1, 1], [1, 1], [2, 2], [4, 4]]


def test_the_pool_rounds_up(trunk):
    assert (trunk.maxpool.kernel_size, trunk.maxpool.stride, trunk.maxpool.padding) == (3, 2, 1)
    assert trunk.maxpool.ceil_mode


@pytest.mark.parametrize(("side", "grid"), [(65, 9), (64, 9), (321, 41), (513, 65)])
def test_grid(trunk, side, grid):
    with torch.no_grad():
        assert trunk(torch.zeros(1, 3, side, 33))[0].shape == (1, 256, grid, 5)


def test_batch_norm_stays_frozen(trunk):
    norms = [part for part in trunk.modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) == 1 + 4 * (2 * 3 + 1)
    trunk.train().requires_grad_(True)
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    trunk(torch.randn(2, 3, 33, 33))[0].mean().backward()
    for norm in norms:
        assert (norm.momentum, norm.eps) == (0.001, 1e-5)
        assert not norm.training
        assert not norm.weight.requires_grad
        assert not norm.bias.requires_grad
    assert all(torch.equal(before[key], value) for key, value in trunk.state_dict().items())
    assert {parameter.ndim for parameter in trunk.parameters()} == {4}
    assert all(parameter.grad is not None for parameter in trunk.parameters())


def test_levels_cut_the_trunk():
    trunk = DeepLabV2ResNet((1, 1, 1, 1), 8, levels=[0, 2])
    assert (trunk.channels, trunk.reductions) == ((32, 128), (4, 8))
    maps = trunk(torch.zeros(1, 3, 65, 65))
    assert [tuple(features.shape) for features in maps] == [(1, 32, 17, 17), (1, 128, 9, 9)]
    assert not hasattr(trunk, "layer4")


def test_it_computes_what_torchvision_does_apart_from_stride_and_dilation():
    model = models.resnet50().eval()
    trunk = create_backbone("deeplabv2/resnet50", pretrained=False, levels=[0])
    state = {k: v for k, v in model.state_dict().items() if k in trunk.state_dict()}
    trunk.load_state_dict(state)
    images = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        expected = model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(images)))))
        torch.testing.assert_close(trunk(images)[0], expected)


def test_torchvisions_weights_fit(monkeypatch):
    model = models.resnet50()
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url", lambda *a, **k: model.state_dict()
    )
    trunk = create_backbone("deeplabv2/resnet50", pretrained=True)
    given = model.state_dict()
    assert len(trunk.state_dict()) == len(given) - 2
    assert all(torch.equal(value, given[key]) for key, value in trunk.state_dict().items())
    assert (trunk.mean, trunk.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert (trunk.channels, trunk.reductions) == ((2048,), (8,))


def test_resnet101_has_its_blocks():
    with torch.device("meta"):
        trunk = create_backbone("deeplabv2/resnet101", pretrained=False)
    assert [len(layer) for layer in blocks(trunk)] == [3, 4, 23, 3]


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("deeplabv2/resnet18", {}, "expected one of 'deeplabv2/resnet50'"),
        ("deeplabv2/resnet50", {"output_stride": 16}, "expected 8 for the DeepLabv2 trunk"),
        ("deeplabv2/resnet50", {"levels": "pyramid"}, "torchvision/resnet101"),
        ("deeplabv2/resnet50", {"levels": [4]}, "from -4 to 3"),
    ],
)
def test_what_it_cannot_do(spec, options, message):
    with pytest.raises(ValueError, match=message):
        create_backbone(spec, pretrained=False, **options)


def test_four_stages_are_needed():
    with pytest.raises(ValueError, match="four counts"):
        DeepLabV2ResNet(blocks=(1, 1, 1))
