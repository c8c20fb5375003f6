from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoxai import AtrousScales, LinearSegmenter, PyramidScales, ScaleProtoSeg
from tests.toys import SMALL, Colours, Trunk, batchnorm_state, modes, small_model

FACTORS = (0.5, 0.75)
ODD = (29, 37)


def scaled(images: Tensor, factor: float) -> Tensor:
    return F.interpolate(images, scale_factor=factor, mode="bilinear", align_corners=False)


def with_strong_scales(model: ScaleProtoSeg) -> ScaleProtoSeg:
    """So that the sigmoid bends, and its place in the order matters."""
    for parameter in model.scales.parameters():
        nn.init.normal_(parameter)
    return model


# --- input scales


def test_maximum_is_taken_before_the_sigmoid_on_the_full_grid() -> None:
    model = with_strong_scales(small_model(input_scales=FACTORS)).eval()
    images = torch.randn(2, 3, *ODD)
    full = model.scales(model.backbone(images))
    maximum = full
    for factor in FACTORS:
        maps = model.scales(model.backbone(scaled(images, factor))).flatten(1, 2)
        resized = F.interpolate(maps, size=full.shape[3:], mode="bilinear", align_corners=False)
        maximum = torch.maximum(maximum, resized.view_as(full))
    assert not torch.equal(maximum, full)
    torch.testing.assert_close(model(images).embedding, maximum.sigmoid())
    torch.testing.assert_close(model.embed(images), maximum.sigmoid())


def test_scaled_images_are_sampled_at_exact_steps() -> None:
    processed: list[Tensor] = []

    class Watching(Trunk):
        def forward(self, images: Tensor) -> Tensor:
            processed.append(images)
            return super().forward(images)

    model = ScaleProtoSeg(Watching(), 2, **SMALL, input_scales=FACTORS).eval()
    processed.clear()
    images = torch.randn(1, 3, *ODD)
    model(images)
    assert [tuple(each.shape[2:]) for each in processed] == [ODD, (14, 18), (21, 27)]
    assert torch.equal(processed[0], images)
    for each, factor in zip(processed[1:], FACTORS, strict=True):
        by_size = F.interpolate(images, size=each.shape[2:], mode="bilinear", align_corners=False)
        assert torch.equal(each, scaled(images, factor))
        assert not torch.allclose(each, by_size)


@pytest.mark.parametrize("linear", [False, True])
def test_each_auxiliary_is_the_model_on_that_image_alone(linear: bool) -> None:
    kind: Any = LinearSegmenter if linear else ScaleProtoSeg
    options = {**SMALL, "prototypes_per_scale": 2}
    if linear:
        options = {"atrous_rates": (1, 2)}
    model = kind(Trunk(), 3, **options, input_scales=FACTORS)
    alone = kind(Trunk(), 3, **options)
    alone.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, *ODD)
    auxiliary = model(images).auxiliary
    assert len(auxiliary) == 3
    for output, image in zip(
        auxiliary, (images, *(scaled(images, p) for p in FACTORS)), strict=True
    ):
        expected = alone(image)
        for name in expected._fields:
            if name == "group_scores":
                assert getattr(output, name) is None
            elif name != "auxiliary":
                torch.testing.assert_close(getattr(output, name), getattr(expected, name))
        assert output.auxiliary == expected.auxiliary == ()


def test_no_auxiliary_outside_of_training_or_without_input_scales() -> None:
    images = torch.randn(2, 3, 16, 20)
    assert small_model(input_scales=FACTORS).eval()(images).auxiliary == ()
    assert small_model().train()(images).auxiliary == ()


def test_auxiliary_lets_gradients_through() -> None:
    model = small_model(input_scales=(0.5,))
    small = model(torch.randn(2, 3, 32, 40)).auxiliary[1]
    small.logits.square().sum().backward()
    assert model.backbone.module.convolution.weight.grad.abs().sum() > 0


# --- prediction


@pytest.mark.parametrize("size", [(32, 40), ODD])
def test_predict_is_the_class_of_the_highest_resized_logit(
    size: tuple[int, int], device: torch.device
) -> None:
    model = small_model(num_classes=4, input_scales=(0.5,)).to(device)
    images = torch.randn(2, 3, *size, device=device)
    result = model.predict(images)
    logits = model.eval()(images).logits
    resized = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    assert result.dtype == torch.int64
    assert result.shape == (2, *size)
    assert result.device.type == device.type
    assert torch.equal(result, resized.argmax(1))
    assert not result.requires_grad


@pytest.mark.parametrize("training", [False, True])
def test_predict_leaves_no_trace(training: bool) -> None:
    model = small_model().train(training)
    before, statistics = modes(model), batchnorm_state(model)
    model.predict(torch.randn(2, 3, 16, 20))
    assert modes(model) == before
    assert all(map(torch.equal, batchnorm_state(model), statistics))


def test_predict_leaves_parts_in_the_mode_the_user_set() -> None:
    model = small_model().train()
    model.backbone.module.normalisation.eval()
    before = modes(model)
    model.predict(torch.randn(2, 3, 16, 20))
    assert modes(model) == before


def test_mode_is_restored_after_a_failure() -> None:
    model = small_model().train()
    with pytest.raises(ValueError, match="expected \\(B, 3, H, W\\)"):
        model.predict(torch.randn(1, 4, 16, 20))
    assert model.training
    assert model.backbone.training


# --- batch normalisation


def test_frozen_batchnorm_never_moves_nor_trains() -> None:
    model = small_model(freeze_batchnorm=True)
    normalisation = model.backbone.module.normalisation
    for _ in range(2):
        model.train()
        assert model.training
        assert model.backbone.training
        assert not normalisation.training
        assert not any(p.requires_grad for p in normalisation.parameters())
        before = batchnorm_state(model)
        model(torch.randn(2, 3, 16, 20)).logits.square().sum().backward()
        assert all(map(torch.equal, batchnorm_state(model), before))
    assert normalisation.weight.grad is None
    assert model.backbone.module.convolution.weight.grad.abs().sum() > 0


def test_batchnorm_moves_where_it_is_not_frozen() -> None:
    model = small_model()
    before = batchnorm_state(model)
    model(torch.randn(2, 3, 16, 20))
    assert not torch.equal(batchnorm_state(model)[0], before[0])


# --- what is built


@pytest.mark.parametrize(
    ("scales", "kind", "num_scales"),
    [("atrous", AtrousScales, 2), ("atrous-sum", AtrousScales, 1), ("pyramid", PyramidScales, 3)],
)
def test_kinds_of_scales(scales: str, kind: type, num_scales: int) -> None:
    model = ScaleProtoSeg("timm/test_resnet", 2, **SMALL, scales=scales, pretrained=False)
    assert isinstance(model.scales, kind)
    assert model.scales.num_scales == num_scales
    assert model(torch.randn(2, 3, 64, 64)).embedding.shape == (2, num_scales, 4, 8, 8)


def test_options_reach_the_trunk() -> None:
    model = ScaleProtoSeg(
        "timm/test_resnet",
        2,
        prototype_dim=4,
        pretrained=False,
        output_stride=16,
        feature_levels=[1, 3],
        atrous_rates=(1, 3, 5),
        init_gain=1e-6,
    )
    assert len(model.backbone.channels) == 2
    assert [branch.dilation for branch in model.scales.branches] == [(1, 1), (3, 3), (5, 5)]
    out = model(torch.randn(2, 3, 64, 96))
    assert out.logits.shape == (2, 2, 4, 6)
    torch.testing.assert_close(
        out.embedding, torch.full_like(out.embedding, 0.5), atol=1e-3, rtol=0
    )


def test_model_carries_how_images_are_normalised() -> None:
    trunk = Trunk()
    trunk.mean, trunk.std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    model = ScaleProtoSeg(trunk, 2, **SMALL)
    assert (model.mean, model.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_own_scales() -> None:
    model = ScaleProtoSeg(nn.Identity(), 2, scales=Colours(), prototype_dim=1)
    images = torch.randn(1, 3, 5, 6)
    assert len(model.table) == 2 * 3 * 3
    assert torch.equal(model(images).embedding, images[:, :, None].sigmoid())


@pytest.mark.parametrize("kind", [ScaleProtoSeg, LinearSegmenter])
def test_a_representation_makes_the_same_model(kind: type[ScaleProtoSeg | LinearSegmenter]) -> None:
    model = kind("timm/test_resnet", 2, scales="pyramid", pretrained=False, input_scales=[0.5])
    assert repr(model) == (
        f"{kind.__name__}(backbone='timm/test_resnet', num_classes=2, scales='pyramid', "
        "input_scales=(0.5,), pretrained=False)"
    )
    again = eval(repr(model))
    assert again.config == model.config
    assert repr(kind(torch.nn.Conv2d(3, 8, 3), num_classes=2, atrous_rates=[6, 12, 18, 24])) == (
        f"{kind.__name__}(backbone=Conv2d(...), num_classes=2)"
    )
