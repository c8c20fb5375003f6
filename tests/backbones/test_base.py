import copy

import pytest
import torch

from protoxai.backbones import Backbone, create_backbone


class Halves(Backbone):
    def extract(self, images):
        return [images[..., ::2, ::2]]


def halves(**rules):
    return Halves(channels=(3,), reductions=(2,), **rules)


def test_images_reach_the_network_unchanged():
    images = torch.rand(2, 3, 4, 6)
    (features,) = halves()(images)
    assert torch.equal(features, images[..., ::2, ::2])


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (1, 4, 8, 8), (1, 3, 1, 8, 8)])
def test_a_wrong_shape_names_what_came_and_what_was_expected(shape):
    with pytest.raises(ValueError, match=r"expected \(B, 3, H, W\)") as caught:
        halves()(torch.zeros(shape))
    assert str(shape) in str(caught.value)


def test_integer_images_are_refused():
    with pytest.raises(TypeError, match=r"torch\.uint8.*divide by 255"):
        halves()(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_something_else_than_a_tensor_is_refused():
    with pytest.raises(TypeError, match="list"):
        halves()([torch.zeros(3, 8, 8)])


@pytest.mark.parametrize(("height", "width"), [(16, 17), (15, 16)])
def test_a_size_between_multiples_says_how_far_to_pad(height, width):
    with pytest.raises(ValueError, match=r"multiples of 8: pad your images to 16x(16|24)"):
        halves(divisor=8)(torch.zeros(1, 3, height, width))


def test_a_fixed_size_takes_only_itself():
    backbone = halves(image_size=(8, 12))
    assert backbone(torch.zeros(1, 3, 8, 12))[0].shape == (1, 3, 4, 6)
    with pytest.raises(ValueError, match="takes only 8x12"):
        backbone(torch.zeros(1, 3, 12, 8))


@pytest.mark.parametrize(
    "spec",
    ["timm/test_resnet", "timm/test_vit", "torchvision/resnet18", "torchvision/shufflenet_v2_x0_5"],
)
def test_copies_and_state_dicts_give_the_same_maps(spec):
    backbone = create_backbone(spec, pretrained=False).eval()
    other = create_backbone(spec, pretrained=False).eval()
    images = torch.randn(1, 3, 64, 96)
    (features,) = backbone(images)
    assert not torch.allclose(features, other(images)[0])
    other.load_state_dict(backbone.state_dict())
    assert torch.equal(other(images)[0], features)
    assert torch.equal(copy.deepcopy(backbone)(images)[0], features)


@pytest.mark.parametrize(
    "spec", ["timm/test_resnet", "timm/swin_tiny_patch4_window7_224", "torchvision/resnet18"]
)
def test_channels_last_and_autocast(spec, device):
    backbone = create_backbone(spec, pretrained=False).eval().to(device)
    images = torch.randn(1, 3, 64, 96, device=device)
    with torch.no_grad():
        (expected,) = backbone(images)
        backbone = backbone.to(memory_format=torch.channels_last)
        (features,) = backbone(images.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(features, expected, atol=1e-4, rtol=1e-3)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            (half,) = backbone(images)
    assert half.shape == expected.shape
    assert half.isfinite().all()


def test_compiles_without_graph_breaks():
    backbone = create_backbone("timm/test_resnet", pretrained=False, levels="pyramid").eval()
    images = torch.randn(1, 3, 64, 64)
    compiled = torch.compile(backbone, backend="eager", fullgraph=True)
    for features, expected in zip(compiled(images), backbone(images), strict=True):
        torch.testing.assert_close(features, expected)
