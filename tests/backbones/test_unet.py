import math

import pytest
import torch
import torch.nn.functional as F

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.backbones import UNet, create_backbone


def loop_version(trunk, images):
    """The network written out, operation by operation, from its weights."""
    weights = trunk.state_dict()

    def block(features, name):
        for conv, norm in ((0, 1), (3, 4)):
            features = F.conv2d(features, weights[f"{name}.{conv}.weight"], padding=1)
            statistics = [weights[f"{name}.{norm}.running_{of}"] for of in ("mean", "var")]
            affine = [weights[f"{name}.{norm}.{of}"] for of in ("weight", "bias")]
            features = F.batch_norm(features, *statistics, *affine, eps=1e-5).relu()
        return features

    def halved(features):
        height, width = features.shape[2:]
        padded = F.pad(features, (0, width % 2, 0, height % 2), value=-math.inf)
        return padded.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2))

    def doubled(features, name, size):
        up = torch.einsum("bchw,cdij->bdhiwj", features, weights[f"{name}.weight"])
        up = up.flatten(4, 5).flatten(2, 3) + weights[f"{name}.bias"][:, None, None]
        return up[..., : size[0], : size[1]]

    down = [block(images, "encoder.0")]
    for level in range(1, 5):
        down.append(block(halved(down[-1]), f"encoder.{level}"))
    maps = [down[4]]
    for level in (3, 2, 1, 0):
        up = doubled(maps[0], f"upsample.{level}", down[level].shape[2:])
        maps.insert(0, block(torch.cat([down[level], up], 1), f"decoder.{level}"))
    return maps


@pytest.mark.parametrize("size", [(32, 48), (37, 51), (1, 3)])
def test_every_level_is_that_of_the_network_written_out(size):
    trunk = UNet(base_width=3, levels=range(5)).double().eval()
    for module in trunk.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for statistic in (module.running_mean, module.running_var, module.weight, module.bias):
                torch.nn.init.uniform_(statistic, 0.5, 1.5)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        maps, expected = trunk(images), loop_version(trunk, images)
    torch.testing.assert_close(maps, expected, rtol=1e-12, atol=1e-12)
    assert trunk.channels == (3, 6, 12, 24, 48)
    for features, reduction in zip(maps, trunk.reductions, strict=True):
        assert features.shape[2:] == tuple(-(-side // reduction) for side in size)


@pytest.mark.parametrize("levels", [None, [1], [2, 4], [4]])
def test_the_decoder_ends_at_the_finest_level(levels):
    trunk = UNet(base_width=2, levels=levels)
    finest = levels[0] if levels else 0
    assert sorted(trunk.decoder) == sorted(trunk.upsample) == [str(i) for i in range(finest, 4)]
    sum(features.sum() for features in trunk(torch.randn(2, 3, 33, 33))).backward()
    assert all(parameter.grad is not None for parameter in trunk.parameters())


def test_convolutions_keep_the_variance_at_first():
    torch.manual_seed(0)
    for name, weight in UNet(base_width=16).named_parameters():
        if weight.ndim == 4 and "upsample" not in name:
            assert weight.var().item() * weight[0].numel() == pytest.approx(2, rel=0.2)


def test_it_is_available_by_its_name(tmp_path):
    trunk = create_backbone("unet", pretrained=False)
    assert isinstance(trunk, UNet)
    assert (trunk.channels, trunk.reductions, trunk.divisor) == ((32,), (1,), 1)
    pyramid = create_backbone("unet", pretrained=False, levels="pyramid", output_stride=16)
    assert pyramid.reductions == (16,)
    half = LinearSegmenter("unet", 2, pretrained=False, feature_levels=[1])
    assert half(torch.rand(2, 3, 33, 48)).logits.shape == (2, 2, 17, 24)
    ScaleProtoSeg("unet", 2, prototype_dim=4, pretrained=False).save_pretrained(tmp_path)
    assert isinstance(ScaleProtoSeg.from_pretrained(tmp_path).backbone, UNet)


def test_weights_come_from_a_file(tmp_path):
    given = UNet().state_dict()
    torch.save(given, tmp_path / "weights.pt")
    trunk = create_backbone("unet", pretrained=tmp_path / "weights.pt")
    assert all(torch.equal(value, given[key]) for key, value in trunk.state_dict().items())


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("unet", {"pretrained": True}, "no pretrained weights: set pretrained to False"),
        ("unet/large", {}, "'unet/large' is unknown, expected 'unet'"),
        ("unet/", {}, "'unet/' is unknown"),
        ("unte", {}, "did you mean 'unet'"),
        ("unet", {"levels": [5]}, "from -5 to 4"),
    ],
)
def test_what_it_cannot_do(spec, options, message):
    with pytest.raises(ValueError, match=message):
        create_backbone(spec, **{"pretrained": False, **options})


def test_a_width_is_needed():
    with pytest.raises(ValueError, match="base_width is 0"):
        UNet(base_width=0)
