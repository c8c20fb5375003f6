"""`torch.compile` of the head, the losses and a model, in one graph each, against eager."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.speed import cases
from benchmarks.speed.figure import Bound, Curve, Figure
from benchmarks.speed.logits import all_maps
from benchmarks.speed.measure import side_by_side
from protoxai import ScaleProtoSeg
from protoxai.losses import (
    ScaleProtoSegLoss,
    group_diversity_loss,
    group_entropy_loss,
    prototype_diversity_loss,
    sample_entropy_loss,
    spatial_entropy_loss,
)
from protoxai.model.outputs import SegmentationOutput

Value = Callable[[Tensor], Tensor]

TRUNK = "timm/resnet50"
IMAGE = 161
NOT_SLOWER = Bound("at most", 1)
# The first run compiles; what it caches may make the second compile again.
WARM = 2
PIXEL_LOSSES = {
    "prototype diversity": prototype_diversity_loss,
    "spatial entropy": spatial_entropy_loss,
    "sample entropy": sample_entropy_loss,
}


@dataclass(frozen=True)
class Function:
    """Something to compile.

    Attributes:
        value: a scalar (or, if only forward, anything) of one tensor.
        leaves: what gradients are taken by; empty: only forward.
        given: the tensor.
        open: tensors (B, ..., h, w) that may be of any batch, height and width.
    """

    value: Value
    leaves: list[Tensor]
    given: Tensor
    open: tuple[Tensor, ...] = ()

    def compiled(self) -> Value:
        """Return the function compiled, in one graph."""
        torch.compiler.reset()
        for tensor in self.open:
            torch._dynamo.mark_dynamic(tensor, (0, tensor.dim() - 2, tensor.dim() - 1))
        fast: Value = torch.compile(self.value, fullgraph=True)
        for _ in range(WARM):
            self.run(fast)
        return fast

    def run(self, value: Value) -> object:
        """Run this or the compiled function, forward and, if it has leaves, backward."""
        if self.leaves:
            return torch.autograd.grad(value(self.given), self.leaves)
        with torch.no_grad():
            return value(self.given)


def compiled(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure compiled functions against eager ones."""
    for shape in cases.shapes(setting):
        yield from _against_eager(_heads(shape, setting), shape.name, setting)
        if not setting.quick:
            yield from _against_eager(_losses(shape, setting), shape.name, setting)
    if not setting.quick:
        yield from _against_eager(_model(setting), f"{TRUNK}, {IMAGE}x{IMAGE}, batch 2", setting)


def _against_eager(
    functions: Mapping[str, Function], where: str, setting: cases.Setting
) -> Iterator[Figure]:
    for name, function in functions.items():
        calls = {
            "compiled": partial(function.run, function.compiled()),
            "eager": partial(function.run, function.value),
        }
        times = side_by_side(calls, setting.rounds)
        direction = "forward + backward" if function.leaves else "forward"
        title = f"torch.compile of {name}, {direction}"
        yield Figure.of_times(title, where, times, ("compiled", "eager"), NOT_SLOWER)


def _losses(shape: cases.Shape, setting: cases.Setting) -> dict[str, Function]:
    head = cases.group_head(shape, setting.device)
    labels = cases.labels(shape, setting.device)
    maps = cases.random(shape.maps, setting.device).requires_grad_()
    scores = cases.random((shape.batch, len(head.group_class), *maps.shape[2:]), setting.device)
    scores.requires_grad_()
    functions = {
        name: Function(
            partial(loss, labels=labels, table=shape.table), [maps], maps, (maps, labels)
        )
        for name, loss in PIXEL_LOSSES.items()
    }
    first, criterion = cases.prototype_head(shape, setting.device), ScaleProtoSegLoss()
    logits = cases.random((shape.batch, shape.classes, *maps.shape[2:]), setting.device)
    logits.requires_grad_()
    functions["the criterion of stage 1"] = Function(
        lambda z: criterion(SegmentationOutput(z, z, maps, maps, None), labels, first)["loss"],
        [logits, maps],
        logits,
        (logits, maps, labels),
    )
    functions["group diversity"] = Function(
        lambda s: group_diversity_loss(s, labels, head.group_table),
        [scores],
        scores,
        (scores, labels),
    )
    functions["group entropy"] = Function(
        lambda _: group_entropy_loss(head), [head.group_parameter], head.group_parameter
    )
    return functions


def _heads(shape: cases.Shape, setting: cases.Setting) -> dict[str, Function]:
    embedding = cases.embedding(shape, setting.device).requires_grad_()
    layer = cases.prototype_layer(shape, setting.device)
    first = cases.prototype_head(shape, setting.device)
    grouping = cases.group_head(shape, setting.device)
    to_first, to_groups = all_maps(layer, first), all_maps(layer, grouping)
    own = [embedding, layer.prototypes]
    return {
        "the way to stage 1 logits": Function(
            lambda z: to_first(z)[-1].sum(), [*own, first.weight], embedding, (embedding,)
        ),
        "the way to grouped logits": Function(
            lambda z: to_groups(z)[-1].sum(),
            [*own, grouping.group_parameter, grouping.weight],
            embedding,
            (embedding,),
        ),
    }


def _model(setting: cases.Setting) -> dict[str, Function]:
    shape = replace(cases.PASCAL, side=IMAGE)
    first, grouped = (
        ScaleProtoSeg(TRUNK, shape.classes, pretrained=False).to(setting.device) for _ in range(2)
    )
    grouped.group().eval()
    criterion = ScaleProtoSegLoss()
    images = cases.random((shape.batch, 3, IMAGE, IMAGE), setting.device)
    labels = cases.labels(shape, setting.device)
    return {
        "a model": Function(lambda x: grouped(x).logits, [], images, (images,)),
        "model and criterion of stage 1": Function(
            lambda x: criterion(first(x), labels, first.head)["loss"],
            [p for p in first.parameters() if p.requires_grad],
            images,
            (images, labels),
        ),
    }
