"""Prediction without a trunk: streamed logits, few active prototypes, many classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.speed import cases
from benchmarks.speed.figure import Bound, Curve, Figure
from benchmarks.speed.logits import compare_with_plain
from benchmarks.speed.measure import Ratio, peak_memory, side_by_side
from protoxai.heads.linear import LastLayer

STREAMED_MAPS = Bound("at most", 1)
COMPACT = Bound("at least", 2)
EXTRA_MEGABYTES = Bound("at most", 200)
MANY = 1000
LAST_LAYERS: tuple[LastLayer, ...] = ("dense", "tied")


def streaming(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure streamed logits, as `predict` computes them, against the plain formulas."""
    for shape in cases.shapes(setting):
        model, images = cases.head_only(shape, setting.device)
        bound = STREAMED_MAPS if shape == cases.ADE20K else None
        call = partial(model.logits, images)
        yield from compare_with_plain("streamed logits", shape, call, setting, bound)


def compact(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure a compact model against the full one, 40 % of the prototypes active."""
    shape = cases.shapes(setting)[-1]
    for last_layer in LAST_LAYERS:
        full, images = cases.head_only(shape, setting.device, last_layer=last_layer)
        cases.keep_active(full, share=0.4)
        calls = {
            "full": partial(full.logits, images),
            "compact": partial(full.compact().logits, images),
        }
        times = side_by_side(calls, setting.rounds)
        title = f"streamed logits, 40 % of the prototypes active, {last_layer} last layer"
        bound = COMPACT if shape == cases.ADE20K else None
        yield Figure.of_times(title, shape.name, times, ("full", "compact"), bound)


def many_classes(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure the memory of `predict` of 1,000 classes, at two image sizes."""
    shape = replace(cases.ADE20K, batch=1, classes=MANY, side=16 if setting.quick else 65)
    for stride in (1, 8):
        model, images = cases.head_only(shape, setting.device, stride)
        side, size = shape.side, shape.side * stride
        peak = peak_memory(partial(model.predict, images), setting.device)
        yield Figure(
            f"predict of {MANY} classes, no trunk: peak extra memory",
            f"{side}x{side} map, {size}x{size} image",
            "megabytes",
            Ratio.certain(peak / 1e6),
            None if setting.quick else EXTRA_MEGABYTES,
        )
