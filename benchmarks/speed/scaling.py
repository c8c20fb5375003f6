"""Growth of time with prototypes, classes, image size and batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch

from benchmarks.speed import cases
from benchmarks.speed.figure import Bound, Curve, Figure
from benchmarks.speed.logits import PRODUCT, bare_product, grouped
from benchmarks.speed.measure import Call, Ratio, Times, side_by_side
from benchmarks.speed.models import training_step
from protoxai.heads.linear import LastLayer
from protoxai.losses import ScaleProtoSegLoss

CLASSES = "classes"
# Bounds along classes, with a tied last layer; a dense one has classes x groups weights.
OVER_LINEAR = {"predict": Bound("at most", 1.3), "stage 2 step": Bound("at most", 2)}
Shapes = Sequence[tuple[int, cases.Shape]]


def growth(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Time the logits, a training step of stage 2 and `predict`, all without a trunk."""
    base = replace(cases.PASCAL, side=24) if setting.quick else cases.PASCAL
    small = replace(cases.ADE20K, side=32, batch=1)
    classes = (150, 500) if setting.quick else (150, 500, 1000, 2000, 5000)
    growing: dict[str, Shapes] = {
        "prototypes": [
            (len(shape.table), shape)
            for shape in (replace(base, per_scale=n) for n in (3, 6, 12, 24))
        ],
        CLASSES: [(n, replace(small, classes=n)) for n in classes],
        "map side": [(n, replace(base, side=n)) for n in (16, 32, 64, 128)[: 4 - setting.quick]],
        "batch": [(n, replace(base, batch=n)) for n in (1, 2, 4, 8)],
    }
    for along, shapes in growing.items():
        last_layer: LastLayer = "tied" if along == CLASSES else "dense"
        measured = [_times(shape, setting, last_layer) for _, shape in shapes]
        at = [value for value, _ in shapes]
        products = [1000 * times.median(PRODUCT) for times in measured]
        for name in ("forward", "stage 2 step", "predict"):
            curve = [1000 * times.median(name) for times in measured]
            yield Curve(name, along, at, curve, products)
            bound = OVER_LINEAR.get(name) if along == CLASSES and not setting.quick else None
            yield _linearity(name, along, shapes, measured, bound)


def _times(shape: cases.Shape, setting: cases.Setting, last_layer: LastLayer) -> Times:
    device = setting.device
    model, images = cases.head_only(shape, device, last_layer=last_layer)
    criterion = ScaleProtoSegLoss(
        prototype_diversity=0, group_entropy=0.05, off_class_l1=1e-3, ignore_index=-1
    )
    calls: dict[str, Call] = {
        "predict": partial(model.predict, images),
        "forward": grouped(shape, device, last_layer).forward(cases.embedding(shape, device)),
        PRODUCT: bare_product(shape, device),
        "stage 2 step": training_step(model, criterion, (images, cases.labels(shape, device))),
    }
    return side_by_side(calls, setting.rounds)


def _linearity(
    name: str, along: str, shapes: Shapes, measured: Sequence[Times], bound: Bound | None
) -> Figure:
    """Return by how much the time of the last point exceeds linear growth from the first."""
    first, last = measured[0].median(name), measured[-1].median(name)
    sizes = [torch.Size(shape.maps).numel() for _, shape in shapes]
    ratio = last / first / (sizes[-1] / sizes[0])
    return Figure(
        f"{name}, growth along {along}",
        f"{shapes[0][0]} to {shapes[-1][0]}",
        "time / linear",
        Ratio.certain(ratio),
        bound,
        {"first, ms": 1000 * first, "last, ms": 1000 * last},
    )
