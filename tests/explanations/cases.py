"""Small models that tell coloured blocks apart, and an image of such blocks."""

from typing import Any

import torch
from torch import Tensor, nn

from protoxai import PrototypeTable, ScaleProtoSeg, project_prototypes

NAMES = ("sky", "road", "tree")
SIZE = (32, 48)
# Class 2 has a single prototype, no scale has as many as another.
TABLE = PrototypeTable([0, 0, 1, 2, 1, 0], [1, 0, 1, 0, 1, 1], num_classes=3, num_scales=2)


def blocks() -> tuple[Tensor, Tensor]:
    """An image (3, 32, 48) of three colours, normalised, and its labels (32, 48)."""
    labels = torch.zeros(SIZE, dtype=torch.int64)
    labels[:, 24:] = 1
    labels[16:, 40:] = 2
    image = torch.eye(3)[labels].permute(2, 0, 1) * 4 - 2
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return image + 0.1 * noise, labels


def block_model(
    table: PrototypeTable = TABLE, *, projected: bool = True, **options: Any
) -> ScaleProtoSeg:
    """A model in float64 with weights of either sign; projected, it knows the blocks."""
    trunk = nn.Conv2d(3, 8, 4, stride=4)
    model = ScaleProtoSeg(
        trunk,
        num_classes=table.num_classes,
        table=table,
        prototype_dim=6,
        atrous_rates=(1, 2),
        init_gain=1.0,
        **{"class_names": NAMES, **options},
    ).double()
    if projected:
        image, labels = blocks()
        project_prototypes(model, [(image.double()[None], labels[None])])
    noise = torch.randn_like(model.head.weight) * 0.1
    model.head.weight.data += noise
    return model.eval()


HEADS = ("stage 1", "stage 1 tied", "stage 2", "stage 2 tied")


def head_model(head: str, **options: Any) -> ScaleProtoSeg:
    """A block model in float64 with one of the four heads, whose weights are of either sign."""
    last_layer = "tied" if head.endswith("tied") else "dense"
    model = block_model(last_layer=last_layer, **options)
    if head.startswith("stage 2"):
        model.group(2).double()
        model.head.weight.data += torch.randn_like(model.head.weight) * 0.1
    return model


def source_image(index: int) -> Tensor:
    """The training image behind every prototype, as uint8 (3, 32, 48)."""
    assert index == 0
    image, _ = blocks()
    return ((image / 4 + 0.5).clamp(0, 1) * 255).to(torch.uint8)
