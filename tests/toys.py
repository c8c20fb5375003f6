"""Models small enough that every number in them can be worked out by hand."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from protoxai import PrototypeTable, ScaleProtoSeg
from protoxai.model.outputs import SegmentationOutput
from protoxai.projection.search import ProjectionRecord

FIELDS = ("image_index", "row", "col", "distance", "vector", "kept")
SMALL: dict[str, Any] = {"prototype_dim": 4, "atrous_rates": (1, 2)}


class Trunk(nn.Module):
    """Stride 4, twelve channels, with batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 12, 3, stride=4, padding=1)
        self.normalisation = nn.BatchNorm2d(12)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.normalisation(self.convolution(images)).relu()
        return features


class Colours(nn.Module):
    """Three scales of one channel: the red, green and blue of the images themselves."""

    num_scales = 3
    dim = 1

    def forward(self, features: list[Tensor]) -> Tensor:
        return features[-1][:, :, None]


class Subsampled(nn.Module):
    """The images themselves, every `stride`-th pixel from the first."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :, :: self.stride, :: self.stride]


def small_model(num_classes: int = 3, **options: Any) -> ScaleProtoSeg:
    return ScaleProtoSeg(Trunk(), num_classes, **{**SMALL, **options})


def colour_model(table: PrototypeTable, stride: int = 1, **options: Any) -> ScaleProtoSeg:
    """A model whose embedding is the sigmoid of the images' colours, a scale for each."""
    return ScaleProtoSeg(
        Subsampled(stride),
        table.num_classes,
        scales=Colours(),
        prototype_dim=1,
        table=table,
        **options,
    )


def loaded_colours(folder: Any, stride: int = 1) -> ScaleProtoSeg:
    return ScaleProtoSeg.from_pretrained(folder, backbone=Subsampled(stride), scales=Colours())


def batchnorm_state(model: nn.Module) -> list[Tensor]:
    """Copies of all running statistics."""
    return [b.clone() for name, b in model.named_buffers() if "running" in name or "num_b" in name]


def modes(model: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in model.named_modules()}


def images_of(*pixels: list[list[float]]) -> Tensor:
    """Images whose three colours are the same map."""
    return torch.tensor(pixels, dtype=torch.float32)[:, None].expand(-1, 3, -1, -1).contiguous()


def set_prototypes(model: ScaleProtoSeg, colours: Sequence[float]) -> None:
    """Prototypes that are hit exactly by these colours."""
    model.prototype_layer.prototypes.data.copy_(torch.tensor(colours)[:, None].sigmoid())


def random_batch(num_classes: int = 3, size: tuple[int, int] = (16, 20)) -> tuple[Tensor, Tensor]:
    return torch.randn(4, 3, *size), torch.randint(0, num_classes, (4, *size))


def trainable(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def assert_same_output(first: SegmentationOutput, second: SegmentationOutput) -> None:
    """Every map to the last bit."""
    for name in SegmentationOutput._fields:
        one, other = getattr(first, name), getattr(second, name)
        if isinstance(one, Tensor):
            assert torch.equal(one, other), name
        else:
            assert one == other, name


def assert_same_record(first: ProjectionRecord, second: ProjectionRecord) -> None:
    """Every field to the last bit."""
    for name in FIELDS:
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    assert first.provenance == second.provenance


def places(record: ProjectionRecord) -> list[tuple[int, int, int]]:
    columns = (record.image_index, record.row, record.col)
    return list(zip(*(column.tolist() for column in columns), strict=True))
