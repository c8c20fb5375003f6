"""Prediction without a trunk: streaming, with few active prototypes, and over many classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product

import torch
from torch import Tensor

from benchmarks.speed import cases
from benchmarks.speed.figure import Bound, Curve, Figure
from benchmarks.speed.logits import BARE, bare
from benchmarks.speed.measure import Call, Ratio, peak_memory, side_by_side
from protoxai import ScaleProtoSeg
from protoxai.kernels.stream import stream_logits

STREAMING = Bound("at most", 3)
COMPACT = Bound("at least", 2)
EXTRA_MEGABYTES = Bound("at most", 200)
OVER_LINEAR = Bound("at most", 1.5)
FEW, MANY = 150, 1000
LAST_LAYERS = {"": True, ", last layer untrained": False}


def predicting(
    shape: cases.Shape, setting: cases.Setting, stride: int = 1, *, trained: bool = True
) -> Call:
    """Return the call of `predict` of a model without a trunk."""
    model, images = cases.all_head(shape, setting.device, stride, trained=trained)
    return partial(model.predict, images)


def streaming_head(model: ScaleProtoSeg, images: Tensor) -> Call:
    """Return the call of what `predict` computes from the embedding of the images on: logits."""
    with torch.no_grad():
        embedding = model.embed(images)
    return partial(stream_logits, model.prototype_layer, model.head, embedding)


def streaming(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure streamed logits against the bare product."""
    for shape, (which, trained) in product(cases.shapes(setting), LAST_LAYERS.items()):
        model, images = cases.all_head(shape, setting.device, trained=trained)
        calls: dict[str, Call] = {
            "protoxai": streaming_head(model, images),
            BARE: bare(shape, setting.device),
        }
        times = side_by_side(calls, setting.rounds)
        bound = STREAMING if shape == cases.ADE20K else None
        title = f"streamed logits, no trunk{which}"
        yield Figure.of_times(title, shape.name, times, ("protoxai", BARE), bound)


def compact(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure a compact model against the full one, 40 % of the prototypes active."""
    shape = cases.shapes(setting)[-1]
    for which, trained in LAST_LAYERS.items():
        full, images = cases.all_head(shape, setting.device, trained=trained)
        cases.keep_active(full, share=0.4)
        calls: dict[str, Call] = {
            "full": streaming_head(full, images),
            "compact": streaming_head(full.compact(), images),
        }
        times = side_by_side(calls, setting.rounds)
        title = f"streamed logits, no trunk, 40 % active prototypes{which}"
        bound = COMPACT if shape == cases.ADE20K else None
        yield Figure.of_times(title, shape.name, times, ("full", "compact"), bound)


def many_classes(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure the memory and the time of `predict` over 1,000 classes, at two image sizes."""
    shape = replace(cases.ADE20K, batch=1, side=16 if setting.quick else 64)
    for stride, (which, trained) in product((1, 8), LAST_LAYERS.items()):
        yield from _many_classes(shape, setting, stride, which, trained=trained)


def _many_classes(
    shape: cases.Shape, setting: cases.Setting, stride: int, which: str, *, trained: bool
) -> Iterator[Figure]:
    size = shape.side * stride
    where = f"{shape.side}x{shape.side} map, {size}x{size} image{which}"
    many = predicting(replace(shape, classes=MANY), setting, stride, trained=trained)
    few = predicting(replace(shape, classes=FEW), setting, stride, trained=trained)
    yield Figure(
        f"predict of {MANY} classes, no trunk: peak extra memory",
        where,
        "megabytes",
        Ratio.certain(peak_memory(many, setting.device) / 1e6),
        None if setting.quick else EXTRA_MEGABYTES,
    )
    names = (f"{MANY} classes", f"{FEW} classes")
    times = side_by_side(dict(zip(names, (many, few), strict=True)), setting.rounds)
    yield Figure(
        f"predict of {MANY} classes, no trunk: growth from {FEW}",
        where,
        "time / linear",
        times.ratio(*names).over(MANY / FEW),
        None if setting.quick else OVER_LINEAR,
        {f"{name}, ms": 1000 * times.median(name) for name in names},
    )
