"""What is measured on: the shapes of the data sets, their inputs, and models that are all head."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from benchmarks.speed.figure import Curve, Figure
from protoxai import (
    MultiScalePrototypeLayer,
    PrototypeHead,
    PrototypeTable,
    ScaleProtoSeg,
    SparseGroupHead,
)

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Setting:
    """How to measure.

    Attributes:
        rounds: turns that each call has.
        quick: small shapes and few of them, to see that everything runs.
        device: where to compute.
    """

    rounds: int = 5
    quick: bool = False
    device: torch.device = CPU


Part = Callable[[Setting], Iterator[Figure | Curve]]


@dataclass(frozen=True)
class Shape:
    """A data set's model and batch.

    Attributes:
        name: of the data set.
        side: height and width of the feature map.
        classes: number of classes.
        present: classes in each image.
        batch: images.
        per_scale: prototypes of each class at each scale.
        scales: number of scales.
        dim: length of an embedding vector.
        groups: groups of each class.
    """

    name: str
    side: int
    classes: int
    present: int
    batch: int = 2
    per_scale: int = 3
    scales: int = 4
    dim: int = 64
    groups: int = 3

    @cached_property
    def table(self) -> PrototypeTable:
        """The regular table of the shape."""
        return PrototypeTable.regular(self.classes, self.scales, self.per_scale)

    @property
    def maps(self) -> tuple[int, int, int, int]:
        """Size (B, P, h, w) of all prototypes' maps."""
        return self.batch, len(self.table), self.side, self.side


PASCAL = Shape("Pascal VOC", side=41, classes=21, present=4)
CITYSCAPES = Shape("Cityscapes", side=65, classes=19, present=10)
ADE20K = Shape("ADE20K", side=64, classes=150, present=12)


def shapes(setting: Setting) -> tuple[Shape, ...]:
    """Return the data sets' shapes; if quick, a small one."""
    if setting.quick:
        return (replace(PASCAL, name="quick", side=24, classes=12),)
    return PASCAL, CITYSCAPES, ADE20K


def labels(shape: Shape, device: torch.device) -> Tensor:
    """Return labels (B, h, w): in each image, a region around a random point for each class."""
    generator = torch.Generator().manual_seed(0)
    grid = torch.cartesian_prod(*(torch.arange(shape.side, dtype=torch.float32),) * 2)
    images = []
    for _ in range(shape.batch):
        classes = torch.randperm(shape.classes, generator=generator)[: shape.present]
        points = grid[torch.randperm(len(grid), generator=generator)[: shape.present]]
        images.append(classes[torch.cdist(grid, points).argmin(1)].view(shape.side, shape.side))
    return torch.stack(images).to(device)


def random(size: tuple[int, ...], device: torch.device, seed: int = 0) -> Tensor:
    """Return uniform values in [0, 1)."""
    return torch.rand(size, generator=torch.Generator().manual_seed(seed)).to(device)


def embedding(shape: Shape, device: torch.device) -> Tensor:
    """Return an embedding (B, S, D, h, w) in [0, 1)."""
    return random((shape.batch, shape.scales, shape.dim, shape.side, shape.side), device)


def prototype_layer(shape: Shape, device: torch.device) -> MultiScalePrototypeLayer:
    """Return the shape's prototypes."""
    return MultiScalePrototypeLayer(shape.table, shape.dim).to(device)


def prototype_head(shape: Shape, device: torch.device) -> PrototypeHead:
    """Return the shape's head of stage 1."""
    return PrototypeHead(shape.table).to(device)


def group_head(shape: Shape, device: torch.device) -> SparseGroupHead:
    """Return the shape's head of stage 2."""
    return SparseGroupHead(shape.table, shape.groups).to(device)


def class_weights(head: SparseGroupHead) -> list[Tensor]:
    """Return each class's group weights (G, M_c) as leaves that gradients are taken by."""
    classes = head.table.classes.tolist()
    return [head.group_weights(c).detach().clone().requires_grad_() for c in classes]


class Thinned(nn.Module):
    """A trunk that costs nothing: every so many-th pixel of the image."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 3, H / stride, W / stride)."""
        return images[:, :, :: self.stride, :: self.stride]


class GivenMaps(nn.Module):
    """Scales that return the maps they were given."""

    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.num_scales, self.dim = maps.shape[1:3]
        self.maps: Tensor
        self.register_buffer("maps", maps)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return (B, S, D, h, w)."""
        del features
        return self.maps


def all_head(
    shape: Shape, device: torch.device, stride: int = 1, *, trained: bool = True
) -> tuple[ScaleProtoSeg, Tensor]:
    """Return a model in stage 2 without a trunk or scales to compute, and images for it.

    Args:
        shape: of its head and its maps.
        device: where it computes.
        stride: pixels of the images per position of the maps; 1: labels need no resizing.
        trained: the last layer weighs every other class differently, as after training.
    """
    maps = random((shape.batch, shape.scales, shape.dim, shape.side, shape.side), device) * 6 - 3
    model = ScaleProtoSeg(
        Thinned(stride),
        shape.classes,
        scales=GivenMaps(maps),
        prototype_dim=shape.dim,
        table=shape.table,
        feature_channels=3,
    )
    size = shape.side * stride
    images = torch.zeros(shape.batch, 3, size, size, device=device)
    model.to(device).group(shape.groups)
    if trained:
        weight = model.head.weight.data
        weight += random(tuple(weight.shape), device) / 10
    return model.eval(), images


@torch.no_grad()
def keep_active(model: ScaleProtoSeg, share: float) -> None:
    """Give the groups of each class an equal weight on its first prototypes, to others none."""
    head = model.head
    assert isinstance(head, SparseGroupHead)
    dense = torch.zeros_like(head.group_weights())
    whole = part = 0.0
    for class_index in head.table.classes.tolist():
        members = (head.table.class_index == class_index).nonzero().flatten()
        whole += share * len(members)
        # The counts add up to the share of all prototypes, class by class one more or one less.
        active = max(1, round(whole - part))
        part += active
        groups = (head.group_class == class_index).nonzero()
        dense[groups, members[:active]] = 1 / active
    head.set_group_weights(dense)
