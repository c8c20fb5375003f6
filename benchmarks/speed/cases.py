"""Shapes of the data sets, inputs of these shapes, and models without a trunk."""

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
from protoxai.heads.linear import LastLayer

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Setting:
    """How to measure.

    Attributes:
        rounds: Number of timed turns of each call.
        quick: Whether to use small shapes, only to check that everything runs.
        device: Device to compute on.
    """

    rounds: int = 5
    quick: bool = False
    device: torch.device = CPU


Part = Callable[[Setting], Iterator[Figure | Curve]]


@dataclass(frozen=True)
class Shape:
    """A data set's model and batch.

    Attributes:
        name: Name of the data set.
        side: Height and width of the feature map.
        classes: Number of classes.
        present: Number of classes in each image.
        batch: Number of images.
        per_scale: Prototypes of each class at each scale.
        scales: Number of scales.
        dim: Length of an embedding vector.
        groups: Groups of each class.
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
ADE20K = Shape("ADE20K", side=65, classes=150, present=12)


def shapes(setting: Setting) -> tuple[Shape, ...]:
    """Return the data sets' shapes, or a small one if quick."""
    if setting.quick:
        return (replace(PASCAL, name="quick", side=24, classes=12),)
    return PASCAL, CITYSCAPES, ADE20K


def labels(shape: Shape, device: torch.device) -> Tensor:
    """Return labels (B, h, w): each class is the region nearest to its random point."""
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


def group_head(
    shape: Shape, device: torch.device, last_layer: LastLayer = "dense"
) -> SparseGroupHead:
    """Return the shape's head of stage 2."""
    return SparseGroupHead(shape.table, shape.groups, last_layer=last_layer).to(device)


def class_weights(head: SparseGroupHead) -> list[Tensor]:
    """Return each class's group weights (G, M_c) as leaves of the graph."""
    classes = head.table.classes.tolist()
    return [head.group_weights(c).detach().clone().requires_grad_() for c in classes]


class Subsample(nn.Module):
    """A trunk that costs nothing: it subsamples the image."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 3, H / stride, W / stride)."""
        return images[:, :, :: self.stride, :: self.stride]


class GivenMaps(nn.Module):
    """Scales that return given maps."""

    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.num_scales, self.dim = maps.shape[1:3]
        self.maps: Tensor
        self.register_buffer("maps", maps)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return (B, S, D, h, w)."""
        del features
        return self.maps


def head_only(
    shape: Shape, device: torch.device, stride: int = 1, *, last_layer: LastLayer = "dense"
) -> tuple[ScaleProtoSeg, Tensor]:
    """Return a model in stage 2 without a trunk or scales to compute, and images for it.

    Args:
        shape: Shape of its maps and its head.
        device: Device to compute on.
        stride: Pixels of the images per position of the maps; with 1, nothing is resized.
        last_layer: Kind of the last layer.
    """
    maps = random((shape.batch, shape.scales, shape.dim, shape.side, shape.side), device) * 6 - 3
    model = ScaleProtoSeg(
        Subsample(stride),
        shape.classes,
        scales=GivenMaps(maps),
        prototype_dim=shape.dim,
        table=shape.table,
        feature_channels=3,
        last_layer=last_layer,
    )
    size = shape.side * stride
    images = torch.zeros(shape.batch, 3, size, size, device=device)
    return model.to(device).group(shape.groups).eval(), images


@torch.no_grad()
def keep_active(model: ScaleProtoSeg, share: float) -> None:
    """Let the groups of each class weigh its first prototypes equally, and no others.

    Args:
        model: Model in stage 2.
        share: Share of all prototypes that stays active.
    """
    head = model.head
    assert isinstance(head, SparseGroupHead)
    dense = torch.zeros_like(head.group_weights())
    planned = active = 0.0
    for class_index in head.table.classes.tolist():
        members = (head.table.class_index == class_index).nonzero().flatten()
        planned += share * len(members)
        # Rounding differences carry over to the next class, so that the counts add up to the share.
        count = max(1, round(planned - active))
        active += count
        groups = (head.group_class == class_index).nonzero()
        dense[groups, members[:count]] = 1 / count
    head.set_group_weights(dense)
