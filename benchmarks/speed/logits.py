"""From the embedding to the logits, against the literal, the bare product and a 1x1 convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.speed import cases, literal
from benchmarks.speed.figure import Bound, Curve, Figure
from benchmarks.speed.measure import Call, side_by_side
from protoxai import MultiScalePrototypeLayer, PrototypeHead, SparseGroupHead

ALL_MAPS = Bound("at most", 5)
WITH_BACKWARD = Bound("at most", 4)
BARE = "bare product"


@dataclass(frozen=True)
class Way:
    """A way from an embedding to logits.

    Attributes:
        maps: from the embedding to all that is returned, the logits last.
        leaves: the parameters to take gradients by.
    """

    maps: Callable[[Tensor], Sequence[Tensor]]
    leaves: Sequence[Tensor]

    def forward(self, embedding: Tensor) -> Call:
        """Return the call without a graph behind it."""

        def call() -> object:
            with torch.no_grad():
                return self.maps(embedding)

        return call

    def both_ways(self, embedding: Tensor) -> Call:
        """Return the call of the logits and the gradients by the embedding and the leaves."""
        given = embedding.detach().clone().requires_grad_()
        gradient = torch.ones_like(self.maps(embedding)[-1])

        def call() -> object:
            return torch.autograd.grad(self.maps(given)[-1], [given, *self.leaves], gradient)

        return call


def stage1(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure the way to the logits of stage 1."""
    for shape in cases.shapes(setting):
        layer = cases.prototype_layer(shape, setting.device)
        head = cases.prototype_head(shape, setting.device)
        ways = {
            "literal": literal_stage1(layer, head),
            "protoxai": Way(all_maps(layer, head), [layer.prototypes, head.weight]),
        }
        yield from _compare("stage 1 logits", shape, ways, setting)


def stage2(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure the way to the grouped logits, all maps returned."""
    for shape in cases.shapes(setting):
        layer = cases.prototype_layer(shape, setting.device)
        head = cases.group_head(shape, setting.device)
        ways = {"literal": literal_stage2(layer, head), "protoxai": grouped(layer, head)}
        yield from _compare("grouped logits", shape, ways, setting)


def all_maps(
    layer: MultiScalePrototypeLayer, head: PrototypeHead | SparseGroupHead
) -> Callable[[Tensor], Sequence[Tensor]]:
    """Return the function from the embedding to distances, activations and logits."""

    def maps(embedding: Tensor) -> Sequence[Tensor]:
        compared = layer(embedding)
        return *compared, head(compared.activations)

    return maps


def grouped(layer: MultiScalePrototypeLayer, head: SparseGroupHead) -> Way:
    """Return the library's way to the grouped logits."""
    return Way(all_maps(layer, head), [layer.prototypes, head.group_parameter, head.weight])


def literal_stage1(layer: MultiScalePrototypeLayer, head: PrototypeHead) -> Way:
    """Return the literal way to the logits of stage 1."""
    leaves = [layer.prototypes, head.weight]
    return Way(lambda z: [literal.stage1_logits(z, leaves[0], head.table, leaves[1])], leaves)


def literal_stage2(layer: MultiScalePrototypeLayer, head: SparseGroupHead) -> Way:
    """Return the literal way to the grouped logits."""
    prototypes, last, rows = layer.prototypes, head.weight, cases.class_weights(head)
    return Way(
        lambda z: [literal.grouped_logits(z, prototypes, head.table, rows, last)],
        [prototypes, last, *rows],
    )


def bare(shape: cases.Shape, device: torch.device) -> Call:
    """Return the call that does no more than multiply, scale by scale."""
    prototypes, vectors = product_factors(shape, device)
    return lambda: [torch.matmul(p, z) for p, z in zip(prototypes, vectors, strict=True)]


def bare_both_ways(shape: cases.Shape, device: torch.device) -> Call:
    """Return the call of the bare product and its gradients by both factors."""
    prototypes, vectors = product_factors(shape, device)
    leaves = [factor.requires_grad_() for factor in (*prototypes, *vectors)]
    size = (shape.batch, len(prototypes[0]), vectors[0].shape[2])
    gradients = [cases.random(size, device, seed) for seed in range(shape.scales)]

    def call() -> object:
        products = [torch.matmul(p, z) for p, z in zip(prototypes, vectors, strict=True)]
        return torch.autograd.grad(products, leaves, gradients)

    return call


def product_factors(shape: cases.Shape, device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Return the prototypes (P_s, D) and the vectors (B, D, h*w) of each scale."""
    prototypes = cases.random((len(shape.table), shape.dim), device).chunk(shape.scales)
    vectors = cases.embedding(shape, device).flatten(3).unbind(1)
    return [p.clone() for p in prototypes], [z.contiguous() for z in vectors]


def _compare(
    name: str, shape: cases.Shape, ways: Mapping[str, Way], setting: cases.Setting
) -> Iterator[Figure]:
    device = setting.device
    linear = nn.Conv2d(shape.scales * shape.dim, shape.classes, 1).to(device)
    plain = Way(lambda z: [linear(z.flatten(1, 2))], list(linear.parameters()))
    ways = {**ways, "1x1 convolution": plain}
    embedding = cases.embedding(shape, device)
    copy = cases.random(shape.maps, device).clone
    forward = {other: way.forward(embedding) for other, way in ways.items()}
    forward |= {BARE: bare(shape, device), "copy of a map": copy}
    both = {other: way.both_ways(embedding) for other, way in ways.items()}
    both |= {BARE: bare_both_ways(shape, device)}
    bounded = name == "grouped logits" and shape == cases.ADE20K
    for direction, calls, bound in (
        ("forward", forward, ALL_MAPS),
        ("forward + backward", both, WITH_BACKWARD),
    ):
        times = side_by_side(calls, setting.rounds)
        title = f"{name}, {direction}"
        yield Figure.of_times(title, shape.name, times, ("literal", "protoxai"))
        for other in calls:
            if other not in ("literal", "protoxai"):
                limit = bound if bounded and other == BARE else None
                yield Figure.of_times(title, shape.name, times, ("protoxai", other), limit)
