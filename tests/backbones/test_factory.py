import subprocess
import sys

import pytest
from torch import nn

from protoxai.backbones import create_backbone


@pytest.mark.parametrize(
    ("spec", "suggestion"),
    [
        ("resnet50", "'timm/resnet50' or 'torchvision/resnet50' or 'deeplabv2/resnet50'"),
        ("tim/convnext_atto", "'timm/convnext_atto'"),
        ("timm/", "expected 'timm/<name>'"),
        ("nonsense", "'torchvision/<name>'"),
    ],
)
def test_unknown_names_get_the_forms_and_the_nearest(spec, suggestion):
    with pytest.raises(ValueError, match=f"'{spec}' is unknown, expected 'timm/<name>'") as caught:
        create_backbone(spec)
    assert suggestion in str(caught.value)


def test_neither_name_nor_module():
    with pytest.raises(TypeError, match="backbone is a int"):
        create_backbone(50)


@pytest.mark.parametrize("stride", [4, 7])
def test_output_strides(stride):
    with pytest.raises(ValueError, match="output_stride is"):
        create_backbone("timm/test_resnet", pretrained=False, output_stride=stride)


def test_feature_channels_are_for_own_modules():
    with pytest.raises(ValueError, match="feature_channels=64 is for modules of your own"):
        create_backbone("timm/test_resnet", pretrained=False, feature_channels=64)


def test_own_modules_load_their_own_weights():
    with pytest.raises(ValueError, match="load its weights before"):
        create_backbone(nn.Conv2d(3, 4, 1), pretrained="weights.pt")


def test_pretrained_of_another_type():
    with pytest.raises(TypeError, match="pretrained is a NoneType, expected True, False or a path"):
        create_backbone("timm/test_resnet", pretrained=None)


def test_the_wheel_is_for_lite0_only():
    with pytest.raises(ValueError, match="use that one"):
        create_backbone("timm/resnet18", pretrained="efficientnet-lite0-wheel")


def test_a_backbone_is_taken_as_it_is():
    backbone = create_backbone(nn.Conv2d(3, 4, 1))
    assert create_backbone(backbone) is backbone
    with pytest.raises(ValueError, match="already"):
        create_backbone(backbone, levels=[0])


def test_the_libraries_load_when_first_asked_for():
    code = (
        "import sys, protoxai.backbones as b; from torch import nn; "
        "b.create_backbone(nn.Conv2d(3, 4, 1)); "
        "assert not {'timm', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
