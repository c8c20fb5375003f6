import pytest
import torch

from protoxai.backbones import create_backbone
from tests.backbones.contract import assert_keeps_contract
from tests.backbones.families import TIMM_FAMILIES


def parameters(backbone):
    return sum(parameter.numel() for parameter in backbone.parameters())


@pytest.mark.parametrize(("spec", "size"), TIMM_FAMILIES)
def test_families(spec, size):
    backbone = create_backbone(spec, pretrained=False)
    assert backbone.training
    assert len(assert_keeps_contract(backbone, size)) == 1


@pytest.mark.parametrize(
    ("spec", "size", "channels", "reductions"),
    [
        ("timm/resnet18", (64, 96), (128, 256, 512), (8, 16, 32)),
        ("timm/convnext_atto", (64, 96), (80, 160, 320), (8, 16, 32)),
        ("timm/swin_tiny_patch4_window7_224", (64, 96), (192, 384, 768), (8, 16, 32)),
        ("timm/mobilenetv3_small_050", (64, 96), (16, 24, 288), (8, 16, 32)),
        ("timm/test_vit", (32, 48), (64,) * 6, (16,) * 6),
    ],
)
def test_pyramids_keep_their_natural_strides(spec, size, channels, reductions):
    backbone = create_backbone(spec, pretrained=False, levels="pyramid")
    assert (backbone.channels, backbone.reductions) == (channels, reductions)
    assert_keeps_contract(backbone, size)


@pytest.mark.parametrize(
    ("spec", "stride", "reached"),
    [
        ("timm/resnet18", 8, 8),
        ("timm/resnet18", 16, 16),
        ("timm/resnet18", 32, 32),
        ("timm/mobilenetv3_small_050", 16, 16),
        ("timm/densenet121", 8, 32),
        ("timm/vit_tiny_patch16_224", 8, 16),
    ],
)
def test_output_stride_where_the_architecture_can(spec, stride, reached):
    backbone = create_backbone(spec, pretrained=False, output_stride=stride)
    assert backbone.reductions == (reached,)
    assert_keeps_contract(backbone, (64, 96))


def test_lite0_cut_after_five_stages():
    backbone = create_backbone("timm/tf_efficientnet_lite0", pretrained=False, levels=[3])
    assert (backbone.channels, backbone.reductions, backbone.divisor) == ((112,), (8,), 1)
    assert parameters(backbone) < 1_000_000
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)
    assert backbone(torch.randn(1, 3, 180, 240))[0].shape == (1, 112, 23, 30)


@pytest.mark.parametrize("spec", ["timm/mobilenetv3_small_050", "timm/resnet18", "timm/test_vit"])
def test_later_stages_are_dropped(spec):
    whole = create_backbone(spec, pretrained=False)
    backbone = create_backbone(spec, pretrained=False, levels=[2])
    assert parameters(backbone) < parameters(whole)
    (features,) = backbone(torch.randn(2, 3, 64, 96))
    features.mean().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


@pytest.mark.parametrize(
    ("spec", "divisor", "image_size"),
    [
        ("timm/resnet18", 1, None),
        ("timm/swin_tiny_patch4_window7_224", 4, None),
        ("timm/vit_tiny_patch16_224", 16, None),
        ("timm/eva02_tiny_patch14_224", 14, None),
        ("timm/hrnet_w18_small", 32, None),
        ("timm/test_maxvit", 160, None),
        ("timm/resmlp_12_224", 1, (224, 224)),
    ],
)
def test_size_rules(spec, divisor, image_size):
    backbone = create_backbone(spec, pretrained=False)
    assert (backbone.divisor, backbone.image_size) == (divisor, image_size)


def test_a_vit_needs_padding():
    backbone = create_backbone("timm/test_vit", pretrained=False)
    with pytest.raises(ValueError, match="pad your images to 64x112"):
        backbone(torch.zeros(1, 3, 50, 100))


def test_an_unknown_name_gets_its_neighbours():
    with pytest.raises(ValueError, match=r"timm has no model 'resnet5O'.*did you mean.*'resnet50'"):
        create_backbone("timm/resnet5O", pretrained=False)


def test_a_level_that_does_not_exist():
    with pytest.raises(ValueError, match="levels contains 5, expected an integer from -5 to 4"):
        create_backbone("timm/test_resnet", pretrained=False, levels=[5])


def test_weights_that_cannot_be_had(monkeypatch):
    import timm

    create_model = timm.create_model

    def offline(name, pretrained=False, **options):
        if pretrained:
            raise ConnectionError("no route to the hub")
        return create_model(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(
        ValueError, match=r"'timm/test_resnet' cannot be loaded \(no route.*pretrained=False"
    ):
        create_backbone("timm/test_resnet", pretrained=True)
