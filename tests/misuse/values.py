"""Small valid values: two images of 4 x 6 pixels, three classes, two scales, twelve prototypes."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

import protoxai
from protoxai import (
    MultiScalePrototypeLayer,
    PrototypeHead,
    PrototypeTable,
    ScaleProtoSeg,
    SparseGroupHead,
)
from protoxai.attribution import Cost, PrototypeAttribution
from protoxai.comparison import Task
from protoxai.data import RawSample, SegmentationDataset
from protoxai.explanations import Explanation
from protoxai.model import SegmentationOutput
from tests.toys import small_model

CLASSES, SCALES, PROTOTYPES, DIM, GROUPS = 3, 2, 12, 4, 2
SIZE = (16, 24)


def table() -> PrototypeTable:
    return PrototypeTable.regular(CLASSES, SCALES, 2)


def layer() -> MultiScalePrototypeLayer:
    return MultiScalePrototypeLayer(table(), DIM)


def random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) + 0.01


def activations() -> Tensor:
    return random(2, PROTOTYPES, 4, 6)


def embedding() -> Tensor:
    return random(2, SCALES, DIM, 4, 6)


def labels(*shape: int) -> Tensor:
    shape = shape or (2, 4, 6)
    return torch.arange(torch.Size(shape).numel()).view(shape) % CLASSES


def maps() -> Tensor:
    return random(2, 4, 6)


def mask() -> Tensor:
    return maps() > 0.5


def images() -> Tensor:
    return random(2, 3, *SIZE)


def head() -> PrototypeHead:
    return PrototypeHead(table())


def groups() -> SparseGroupHead:
    return SparseGroupHead(table(), GROUPS)


def hits() -> Tensor:
    return (random(2, 5, 4) > 0.5).float()


def other_hits() -> Tensor:
    return (random(2, 3, 5, 4) > 0.5).float()


@cache
def model() -> ScaleProtoSeg:
    return small_model(CLASSES, prototypes_per_scale=2)


@cache
def grouped() -> ScaleProtoSeg:
    return small_model(CLASSES, prototypes_per_scale=2).group(GROUPS)


def output() -> SegmentationOutput:
    return model()(images())


def grouped_output() -> SegmentationOutput:
    return grouped()(images())


def cost() -> Cost:
    return Cost(3, 3, seconds=0.5, peak_memory=None)


@cache
def explanation() -> Explanation:
    return protoxai.explain(model(), images()[0])


def task() -> Task:
    return Task(0, images()[:1], torch.ones(1, *SIZE, dtype=torch.bool), torch.tensor([1]))


@cache
def explainer() -> PrototypeAttribution:
    return PrototypeAttribution(model(), "prototypes")


def score(x: Tensor) -> Tensor:
    return x.sum((1, 2, 3))


def channel_sum(x: Tensor) -> Tensor:
    return x.sum(1)


class Samples(SegmentationDataset):
    """Two samples."""

    def __init__(self) -> None:
        super().__init__(["a", "b", "c"])

    def __len__(self) -> int:
        return 2

    def raw(self, index: int) -> RawSample:
        self.check_index(index)
        return RawSample(torch.zeros(3, 4, 6, dtype=torch.uint8), labels(4, 6), id=str(index))


def batch() -> dict[str, Any]:
    return {"image": images(), "labels": labels(2, *SIZE), "index": torch.tensor([0, 1])}


class Unlike(nn.Module):
    """A model of no kind that the library knows."""

    def forward(self, x: Tensor) -> Tensor:
        return x
