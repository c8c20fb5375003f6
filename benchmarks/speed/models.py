"""Whole models against DeepLabv2 on the same trunk: training steps, `predict`, projection."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.speed import cases
from benchmarks.speed.figure import Bound, Curve, Figure
from benchmarks.speed.measure import Call, Ratio, peak_memory, side_by_side
from protoxai import LinearSegmenter, ScaleProtoSeg, SparseGroupHead, project_prototypes
from protoxai.losses import ScaleProtoSegLoss
from protoxai.model.segmenter import Segmenter

STEP = Bound("at most", 1.10)
INFERENCE = Bound("at most", 1.05)
PROJECTION = Bound("at most", 1.15)
CONSTANT = Bound("at most", 1.05)
RATE = 2.5e-4
CLASSES = 21


@dataclass(frozen=True)
class Trunk:
    """A trunk and the batch it is measured on.

    Attributes:
        name: Name of the backbone.
        size: Height and width of the images.
        bounded: Whether the bounds are meant for this trunk.
    """

    name: str
    size: int
    bounded: bool

    @classmethod
    def of(cls, setting: cases.Setting) -> Trunk:
        """Return ResNet-50 at Pascal VOC's crop, or a small one if quick."""
        if setting.quick:
            return cls("timm/resnet18", 97, bounded=False)
        return cls("timm/resnet50", 321, bounded=True)

    @property
    def where(self) -> str:
        """Description in tables."""
        return f"{self.name}, {self.size}x{self.size}, batch 2"

    def bound(self, bound: Bound) -> Bound | None:
        """Return the bound if it is meant for this trunk."""
        return bound if self.bounded else None

    def linear(self, device: torch.device) -> LinearSegmenter:
        """Return DeepLabv2 on the trunk."""
        torch.manual_seed(0)
        return LinearSegmenter(self.name, CLASSES, pretrained=False).to(device)

    def prototypical(self, device: torch.device) -> ScaleProtoSeg:
        """Return ScaleProtoSeg on the trunk, in stage 1."""
        torch.manual_seed(0)
        return ScaleProtoSeg(self.name, CLASSES, pretrained=False).to(device)

    def batch(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return images, and labels with four classes in each."""
        images = cases.random((2, 3, self.size, self.size), device) * 4 - 2
        shape = cases.Shape("", self.size, CLASSES, present=4)
        return images, cases.labels(shape, device)


def training(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure a training step: forward, criterion, backward, Adam, projection onto the simplex."""
    trunk = Trunk.of(setting)
    batch = trunk.batch(setting.device)
    plain = ScaleProtoSegLoss(prototype_diversity=0)
    stage1 = ScaleProtoSegLoss(off_class_l1=1e-4)
    stage2 = ScaleProtoSegLoss(prototype_diversity=0, group_entropy=0.05, off_class_l1=1e-3)
    calls = {
        "stage 1": training_step(trunk.prototypical(setting.device), stage1, batch),
        "stage 2": training_step(trunk.prototypical(setting.device).group(), stage2, batch),
        "DeepLabv2": training_step(trunk.linear(setting.device), plain, batch),
    }
    times = side_by_side(calls, setting.rounds)
    for stage in ("stage 1", "stage 2"):
        yield Figure.of_times(
            f"training step, {stage}", trunk.where, times, (stage, "DeepLabv2"), trunk.bound(STEP)
        )


def training_step(
    model: Segmenter, criterion: ScaleProtoSegLoss, batch: tuple[Tensor, Tensor]
) -> Call:
    """Return a call that makes one step of all trainable parameters."""
    images, labels = batch
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), RATE)
    head = model.head if isinstance(model, ScaleProtoSeg) else None

    def call() -> None:
        optimizer.zero_grad()
        criterion(model(images), labels, head)["loss"].backward()
        optimizer.step()
        if isinstance(head, SparseGroupHead):
            head.project_to_simplex_()

    return call


def inference(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure `predict`."""
    trunk = Trunk.of(setting)
    images, _ = trunk.batch(setting.device)
    grouped, linear = trunk.prototypical(setting.device).group(), trunk.linear(setting.device)
    times = side_by_side(
        {
            "ScaleProtoSeg": partial(grouped.predict, images),
            "DeepLabv2": partial(linear.predict, images),
        },
        setting.rounds,
    )
    of = ("ScaleProtoSeg", "DeepLabv2")
    yield Figure.of_times("predict", trunk.where, times, of, trunk.bound(INFERENCE))


def projection(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure projection against a forward pass, and its memory over more images."""
    trunk = Trunk.of(setting)
    model = trunk.prototypical(setting.device).eval()
    loader = [trunk.batch(setting.device)] * 2
    project = Projection(model, loader)
    calls: dict[str, Call] = {"projection": project, "forward pass": project.forward_only}
    times = side_by_side(calls, setting.rounds, prepare={"projection": project.restore})
    of = ("projection", "forward pass")
    yield Figure.of_times("projection", trunk.where, times, of, trunk.bound(PROJECTION))
    peaks = [
        peak_memory(Projection(model, loader * times_as_many).from_start, setting.device)
        for times_as_many in (1, 4)
    ]
    growth = peaks[1] / peaks[0]
    yield Figure(
        "projection: peak memory over 16 images against 4",
        trunk.where,
        "16 images / 4 images",
        Ratio.certain(growth),
        trunk.bound(CONSTANT),
        {"4 images, MB": peaks[0] / 1e6, "16 images, MB": peaks[1] / 1e6},
    )


class Projection:
    """Projection of a model that can be repeated from the same prototypes.

    Args:
        model: Model in stage 1.
        loader: Batches of images and labels.
    """

    def __init__(self, model: ScaleProtoSeg, loader: list[tuple[Tensor, Tensor]]) -> None:
        self._model = model
        self._loader = loader
        self._structure = model.structure()
        self._state = {name: value.clone() for name, value in model.state_dict().items()}

    def __call__(self) -> None:
        """Project the prototypes and drop duplicates."""
        with warnings.catch_warnings():
            # Most classes do not occur in so few images.
            warnings.simplefilter("ignore", UserWarning)
            project_prototypes(self._model, self._loader)

    def restore(self) -> None:
        """Restore the prototypes from before the first projection."""
        self._model.restructure(self._structure)
        self._model.load_state_dict(self._state)

    def from_start(self) -> None:
        """Restore the prototypes, then project."""
        self.restore()
        self()

    @torch.no_grad()
    def forward_only(self) -> None:
        """Run the model on all images."""
        for images, _ in self._loader:
            self._model(images)
