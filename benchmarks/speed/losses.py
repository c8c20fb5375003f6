"""The loss terms, forward and backward, against the literal formulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from benchmarks.speed import cases, literal
from benchmarks.speed.figure import Bound, Curve, Figure
from benchmarks.speed.measure import Call, Ratio, peak_memory, side_by_side
from protoxai.losses import (
    group_cross_entropy_loss,
    group_diversity_loss,
    group_entropy_loss,
    prototype_diversity_loss,
    sample_entropy_loss,
    scale_max_loss,
    spatial_entropy_loss,
)

Loss = Callable[..., Tensor]

DIVERSITY = "prototype diversity"
FASTER = {cases.PASCAL: 25, cases.CITYSCAPES: 80, cases.ADE20K: 250}
MEMORY = Bound("at most", 1.5)
OF_PROTOTYPES: dict[str, tuple[Loss, Loss]] = {
    DIVERSITY: (literal.prototype_diversity, prototype_diversity_loss),
    "spatial entropy": (literal.spatial_entropy, spatial_entropy_loss),
    "sample entropy": (literal.sample_entropy, sample_entropy_loss),
}


def over_pixels(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure the terms over pixels: of distances, activations and group scores."""
    for shape in cases.shapes(setting):
        yield from _of_prototypes(shape, setting)
        yield from _of_group_scores(shape, setting)


def over_groups(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure the terms of the group weights."""
    for shape in cases.shapes(setting):
        yield from _of_group_weights(shape, setting)


def both_ways(leaves: Sequence[Tensor], loss: Loss, *arguments: object) -> Call:
    """Return the call that computes a loss of the arguments and its gradients by the leaves."""
    return lambda: torch.autograd.grad(loss(*arguments), leaves)


def _of_prototypes(shape: cases.Shape, setting: cases.Setting) -> Iterator[Figure]:
    maps = cases.random(shape.maps, setting.device).requires_grad_()
    labels = cases.labels(shape, setting.device)
    for name, (literally, ours) in OF_PROTOTYPES.items():
        calls = {
            "literal": both_ways([maps], literally, maps, labels, shape.table),
            "protoxai": both_ways(
                [maps], partial(ours, ignore_index=-1), maps, labels, shape.table
            ),
        }
        faster = FASTER.get(shape) if name == DIVERSITY else None
        bound = None if faster is None else Bound("at least", faster)
        yield _against_literal(name, shape, calls, setting, bound)
        if name == DIVERSITY:
            peak = peak_memory(calls["protoxai"], setting.device)
            yield Figure(
                f"{name}, peak memory with the gradient",
                shape.name,
                "extra / distances",
                Ratio.certain(peak / maps.nbytes),
                MEMORY if faster else None,
                {"extra, MB": peak / 1e6, "distances, MB": maps.nbytes / 1e6},
            )


def _of_group_scores(shape: cases.Shape, setting: cases.Setting) -> Iterator[Figure]:
    groups = cases.group_head(shape, setting.device).group_class
    size = (shape.batch, len(groups), shape.side, shape.side)
    scores = cases.random(size, setting.device).requires_grad_()
    labels = cases.labels(shape, setting.device)
    ours = partial(group_diversity_loss, ignore_index=-1)
    calls = {
        "literal": both_ways([scores], literal.group_diversity, scores, labels, groups),
        "protoxai": both_ways([scores], ours, scores, labels, groups),
    }
    yield _against_literal("group diversity", shape, calls, setting)


def _of_group_weights(shape: cases.Shape, setting: cases.Setting) -> Iterator[Figure]:
    head = cases.group_head(shape, setting.device)
    rows = cases.class_weights(head)
    table = shape.table
    literally = {
        "group entropy": both_ways(rows, literal.group_entropy, rows),
        "group cross-entropy": both_ways(rows, literal.group_cross_entropy, rows),
        "scale max": both_ways(rows, literal.scale_max, rows, table),
    }
    ours: dict[str, Loss] = {
        "group entropy": group_entropy_loss,
        "group cross-entropy": group_cross_entropy_loss,
        "scale max": scale_max_loss,
    }
    for name, call in literally.items():
        own = both_ways([head.group_parameter], ours[name], head)
        yield _against_literal(name, shape, {"literal": call, "protoxai": own}, setting)


def _against_literal(
    name: str,
    shape: cases.Shape,
    calls: dict[str, Call],
    setting: cases.Setting,
    bound: Bound | None = None,
) -> Figure:
    times = side_by_side(calls, setting.rounds)
    title = f"{name}, forward + backward"
    return Figure.of_times(title, shape.name, times, ("literal", "protoxai"), bound)
