"""Every family of backbones through a forward, a backward and a projection."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from protoxai import ScaleProtoSeg, project_prototypes
from tests.backbones.families import TIMM_FAMILIES, TORCHVISION_FAMILIES

FAMILIES = (*TIMM_FAMILIES, *TORCHVISION_FAMILIES)
PYRAMIDS = ("timm/resnet18", "timm/pvt_v2_b0", "timm/vit_tiny_patch16_224", "torchvision/swin_t")


class Own(nn.Module):
    """Two levels, given in the form that the test asks for."""

    def __init__(self, form: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.form = form
        self.fine = nn.Conv2d(3, 6, 3, stride=4, padding=1)
        self.coarse = nn.Conv2d(6, 8, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> Any:
        fine = self.fine(images)
        return self.form(fine, self.coarse(fine.relu()))


OWN: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "map": lambda fine, coarse: coarse,
    "list": lambda fine, coarse: [fine, coarse],
    "dict": lambda fine, coarse: {"fine": fine, "coarse": coarse},
}


def assert_runs(backbone: str | nn.Module, size: tuple[int, int], **options: Any) -> None:
    model = ScaleProtoSeg(
        backbone,
        num_classes=2,
        prototypes_per_scale=1,
        prototype_dim=4,
        pretrained=False,
        **{"atrous_rates": (1, 2), **options},
    )
    images = torch.randn(2, 3, *size)
    labels = torch.zeros(2, *size, dtype=torch.long)
    labels[..., size[1] // 2 :] = 1
    assert_trains(model, images)
    assert_projects(model, images, labels)
    assert model.predict(images).shape == labels.shape


def assert_trains(model: ScaleProtoSeg, images: Tensor) -> None:
    out = model.train()(images)
    assert out.logits.isfinite().all()
    out.logits.square().mean().backward()
    for part in (model.backbone, model.scales, model.prototype_layer):
        gradients = [p.grad for p in part.parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)
    # From end to end: the very first weights have their share.
    first = next(model.backbone.parameters())
    assert first.grad is not None
    assert first.grad.any()


def assert_projects(model: ScaleProtoSeg, images: Tensor, labels: Tensor) -> None:
    project_prototypes(model, [(images, labels)])
    with torch.no_grad():
        embedding = model.eval().embed(images)
    assert model.table.classes.tolist() == [0, 1]
    assert model.provenance is not None
    for number, entry in enumerate(model.provenance):
        assert entry.projected
        scale = int(model.table.scale_index[number])
        patch = embedding[entry.image_index, scale, :, entry.row, entry.col]
        assert torch.equal(model.prototype_layer.prototypes[number], patch)


@pytest.mark.parametrize(("spec", "size"), FAMILIES, ids=[spec for spec, _ in FAMILIES])
def test_family(spec: str, size: tuple[int, int]) -> None:
    assert_runs(spec, size)


@pytest.mark.parametrize("spec", PYRAMIDS)
def test_pyramid_of_a_family(spec: str) -> None:
    assert_runs(spec, dict(FAMILIES)[spec], scales="pyramid")


def test_deeplabv2() -> None:
    assert_runs("deeplabv2/resnet50", (32, 48), freeze_batchnorm=True)


def test_unet() -> None:
    assert_runs("unet", (33, 46))
    assert_runs("unet", (33, 46), scales="pyramid")


@pytest.mark.parametrize("scales", ["atrous", "atrous-sum"])
@pytest.mark.parametrize("form", OWN)
def test_own_module(form: str, scales: str) -> None:
    assert_runs(Own(OWN[form]), (32, 48), scales=scales)


@pytest.mark.parametrize("form", ["list", "dict"])
def test_pyramid_of_an_own_module(form: str) -> None:
    levels: Any = ["fine", "coarse"] if form == "dict" else [0, 1]
    assert_runs(Own(OWN[form]), (32, 48), scales="pyramid", feature_levels=levels)
    assert_runs(Own(OWN[form]), (32, 48), scales="pyramid", output_stride=8)


def test_own_module_whose_channels_are_given() -> None:
    assert_runs(Own(OWN["map"]), (32, 48), feature_channels=8)
