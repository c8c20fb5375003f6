"""How the way from the embedding to the grouped logits grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.speed import cases
from benchmarks.speed.figure import Curve, Figure
from benchmarks.speed.logits import BARE, Way, bare, grouped
from benchmarks.speed.measure import Call, Ratio, Times, side_by_side
from protoxai.losses import ScaleProtoSegLoss
from protoxai.model.outputs import SegmentationOutput

Grown = Sequence[tuple[int, cases.Shape]]


def growth(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Time a growing head along prototypes, classes, image size and batch.

    Up to the group scores all is linear; the last layer has classes x groups weights.
    """
    base = replace(cases.PASCAL, side=24) if setting.quick else cases.PASCAL
    small = replace(cases.ADE20K, side=32, batch=1)
    classes = (150, 500) if setting.quick else (150, 500, 1000, 2000, 5000)
    grown: dict[str, Grown] = {
        "prototypes": [
            (len(shape.table), shape)
            for shape in (replace(base, per_scale=n) for n in (3, 6, 12, 24))
        ],
        "classes": [(n, replace(small, classes=n)) for n in classes],
        "map side": [(n, replace(base, side=n)) for n in (16, 32, 64, 128)[: 4 - setting.quick]],
        "batch": [(n, replace(base, batch=n)) for n in (1, 2, 4, 8)],
    }
    for along, shapes in grown.items():
        measured = [_times(shape, setting) for _, shape in shapes]
        at = [value for value, _ in shapes]
        products = [1000 * times.median(BARE) for times in measured]
        for name in ("group scores", "forward", "training", "predict"):
            curve = [1000 * times.median(name) for times in measured]
            yield Curve(name, along, at, curve, products)
            yield _linearity(name, along, shapes, measured)


def _times(shape: cases.Shape, setting: cases.Setting) -> Times:
    device = setting.device
    embedding, labels = cases.embedding(shape, device), cases.labels(shape, device)
    layer, head = cases.prototype_layer(shape, device), cases.group_head(shape, device)
    way = grouped(layer, head)
    model, images = cases.all_head(shape, device)
    criterion = ScaleProtoSegLoss(group_entropy=0.05, off_class_l1=1e-4, ignore_index=-1)
    given = embedding.clone().requires_grad_()

    def scores(z: Tensor) -> Sequence[Tensor]:
        return [head.scores(layer(z).activations)]

    def training() -> Sequence[Tensor]:
        maps = layer(given)
        output = SegmentationOutput(
            head(maps.activations), given, maps.distances, maps.activations, None
        )
        return torch.autograd.grad(criterion(output, labels, head)["loss"], [given, *way.leaves])

    calls: dict[str, Call] = {
        "predict": partial(model.predict, images),
        "group scores": Way(scores, []).forward(embedding),
        "forward": way.forward(embedding),
        "training": training,
        BARE: bare(shape, device),
    }
    return side_by_side(calls, setting.rounds)


def _linearity(name: str, along: str, shapes: Grown, measured: Sequence[Times]) -> Figure:
    """Return by how much the time of the last point exceeds linear growth from the first."""
    first, last = measured[0].median(name), measured[-1].median(name)
    sizes = [torch.Size(shape.maps).numel() for _, shape in shapes]
    ratio = last / first / (sizes[-1] / sizes[0])
    return Figure(
        f"{name}, growth along {along}",
        f"{shapes[0][0]} to {shapes[-1][0]}",
        "time / linear",
        Ratio.certain(ratio),
        None,
        {"first, ms": 1000 * first, "last, ms": 1000 * last},
    )
