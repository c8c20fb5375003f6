"""A recipe and models so small that a whole run takes a second."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from protoxai import ScaleProtoSeg
from protoxai.data import RawSample, SegmentationDataset
from protoxai.training import Stage

_MICRO: dict[str, Any] = {
    "name": "micro",
    "seed": 7,
    "loggers": ["csv"],
    "data": {
        "dataset": "shapes",
        "options": {"size": 64, "length": 8},
        "crop": [64, 64],
        "batch_size": 2,
        "evaluation_batch_size": 4,
        "class_balance": 0.5,
    },
    "model": {
        "backbone": "timm/test_resnet",
        "pretrained": False,
        "prototypes_per_scale": 2,
        "prototype_dim": 8,
        "atrous_rates": [1, 2],
        "init_gain": 0.2,
        "bounded_prototypes": True,
        "batchnorm_momentum": 0.03,
    },
    "stages": [
        {
            "name": "joint training",
            "steps": 2,
            "before": ["initialise"],
            "after": ["project"],
            "learning_rates": {"backbone": 1e-3, "scales": 3e-3, "prototypes": 1e-2},
            "losses": {"cross_entropy": 1.0, "prototype_diversity": 0.25},
            "schedule": "polynomial",
            "warmup_steps": 1,
        },
        {
            "name": "grouping",
            "steps": 3,
            "before": ["group"],
            "after": ["threshold"],
            "learning_rates": {"groups": 1e-2, "last_layer": 1e-2},
            "losses": {"cross_entropy": 1.0, "group_entropy": 0.05, "off_class_l1": 1e-3},
            "cached_views": 1,
            "threshold": 0.1,
        },
    ],
}


def micro() -> dict[str, Any]:
    """The keys of a recipe, to be changed and written."""
    return deepcopy(_MICRO)


def write(keys: object, folder: Path) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(keys))
    return path


def toy_model(*, grouped: bool = False, **options: Any) -> ScaleProtoSeg:
    """Two classes, two scales, a trunk with batch normalisation, 8 image pixels a feature."""
    trunk = nn.Sequential(nn.Conv2d(3, 6, 8, stride=8), nn.BatchNorm2d(6), nn.ReLU())
    options = {"prototype_dim": 4, "prototypes_per_scale": 2, "atrous_rates": (1, 2), **options}
    model = ScaleProtoSeg(trunk, num_classes=2, init_gain=1.0, **options)
    return model.group(2) if grouped else model


def stage(**changes: Any) -> Stage:
    """A stage that trains all that stage 1 has, but for what is changed."""
    rates = {"backbone": 1e-2, "scales": 1e-2, "prototypes": 1e-2}
    return Stage(**{"name": "a stage", "steps": 3, "learning_rates": rates, **changes})


def toy_batches(count: int = 3, size: int = 32) -> list[dict[str, Tensor]]:
    """Batches of two images, mirrored: halves are two classes, a corner is void."""
    labels = torch.zeros(2, size, size, dtype=torch.int64)
    labels[:, :, size // 2 :] = 1
    labels[:, : size // 4, : size // 4] = 255
    labels[1] = labels[1].flip(-1)
    return [
        {"image": torch.randn(2, 3, size, size) + labels[:, None], "labels": labels}
        for _ in range(count)
    ]


class Halves(SegmentationDataset):
    """Images, dark on the left and bright on the right; image i is i levels brighter."""

    def __init__(self, length: int = 6, size: tuple[int, int] = (32, 48)) -> None:
        super().__init__(("dark", "bright"))
        self.length = length
        self.size = size

    def __len__(self) -> int:
        return self.length

    def raw(self, index: int) -> RawSample:
        self.check_index(index)
        labels = torch.zeros(self.size, dtype=torch.int64)
        labels[:, self.size[1] // 2 :] = 1
        labels[0] = 255
        image = (labels == 1)[None].expand(3, -1, -1) * 150 + 10 + index
        return RawSample(image.to(torch.uint8), labels, id=f"half-{index}")
