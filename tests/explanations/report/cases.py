"""A small model with pictures, labelled images, and names that try to break a page."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from protoxai import ScaleProtoSeg
from tests.explanations.cases import block_model, blocks

HOSTILE = (
    "<script>window.broken = true</script>",
    "\"'><img src=x onerror='window.broken = true'>",
    "</script><!-- $x_{ {{ 7 * 7 }} 🚲 \u05d0\u05d1\u05d2 " + "long" * 75,
)
# Names of images and titles may have characters that names of classes may not.
MORE_HOSTILE = "\u2028 \u202e \0 \ud800 " + HOSTILE[2]


def report_model(stage: int, names: Sequence[str] | None = None) -> ScaleProtoSeg:
    """A projected model in single precision, with a picture of each prototype."""
    model = block_model().float()
    if names is not None:
        model.class_names = names
    if stage == 2:
        model.group(2)
        weight = model.head.weight.data
        weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) * 0.3
        # No prototype of an even index is in a second group.
        dense = model.head.group_weights().detach()
        dense[1::2, ::2] = 0
        model.head.set_group_weights(dense)
        model.head.threshold_(0.05)
    return model.eval()


class LabelledImages:
    """Noisy copies of one image, the later the worse, with a column that has no label."""

    class_names = ("sky", "road", "tree")
    palette = ((10, 20, 30), (200, 100, 0), (0, 120, 60))
    ignore_index = 255

    def __init__(self, count: int = 3, prefix: str = "image ") -> None:
        self.count = count
        self.prefix = prefix

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, labels = blocks()
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(index))
        labels = labels.clone()
        labels[:, 0] = 255
        return {
            "image": image + 0.8 * index * noise,
            "labels": labels,
            "id": f"{self.prefix}{index}",
        }


def image_of(data: LabelledImages, index: int) -> Tensor:
    image: Tensor = data[index]["image"]
    return image
