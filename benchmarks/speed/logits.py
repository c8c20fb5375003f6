"""From the embedding to the logits: tiled kernels against the plain formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.speed import cases
from benchmarks.speed.figure import Bound, Curve, Figure
from benchmarks.speed.measure import Call, Ratio, peak_memory, side_by_side
from protoxai import MultiScalePrototypeLayer, PrototypeHead, SparseGroupHead
from protoxai.heads.linear import LastLayer
from protoxai.kernels import untiled

MEMORY = Bound("at most", 5)
PRODUCT = "bare product"


@dataclass(frozen=True)
class Pipeline:
    """A prototype layer and a head.

    Attributes:
        layer: Layer that compares an embedding with the prototypes.
        head: Head of either stage.
    """

    layer: MultiScalePrototypeLayer
    head: PrototypeHead | SparseGroupHead

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters of both."""
        return [*self.layer.parameters(), *self.head.parameters()]

    def maps(self, embedding: Tensor) -> Sequence[Tensor]:
        """Return distances, activations and logits."""
        distances, activations = self.layer(embedding)
        return distances, activations, self.head(activations)

    def forward(self, embedding: Tensor) -> Call:
        """Return a call that computes all maps without recording gradients."""

        def call() -> object:
            with torch.no_grad():
                return self.maps(embedding)

        return call

    def forward_backward(self, embedding: Tensor) -> Call:
        """Return a call that computes all maps and every gradient of the logits."""
        leaf = embedding.detach().clone().requires_grad_()

        def call() -> object:
            maps = self.maps(leaf)
            return *maps, *torch.autograd.grad(maps[-1].sum(), [leaf, *self.parameters])

        return call


def stage1(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure the logits of stage 1, all maps returned."""
    for shape in cases.shapes(setting):
        layer = cases.prototype_layer(shape, setting.device)
        pipeline = Pipeline(layer, cases.prototype_head(shape, setting.device))
        yield from _against_plain("stage 1 logits", shape, pipeline, setting)


def stage2(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure the logits of stage 2, all maps returned."""
    for shape in cases.shapes(setting):
        pipeline = grouped(shape, setting.device)
        bound = MEMORY if shape == cases.ADE20K else None
        yield from _against_plain("stage 2 logits", shape, pipeline, setting, bound)


def grouped(shape: cases.Shape, device: torch.device, last_layer: LastLayer = "dense") -> Pipeline:
    """Return the shape's prototype layer and its head of stage 2."""
    head = cases.group_head(shape, device, last_layer)
    return Pipeline(cases.prototype_layer(shape, device), head)


def plain(call: Call) -> Call:
    """Return the same call by the plain formulas, without tiles."""

    def untiled_call() -> object:
        with untiled():
            return call()

    return untiled_call


def bare_product(shape: cases.Shape, device: torch.device) -> Call:
    """Return a call that multiplies prototypes and embedding, scale by scale, and no more."""
    prototypes, vectors = product_factors(shape, device)
    return lambda: [torch.matmul(p, z) for p, z in zip(prototypes, vectors, strict=True)]


def product_factors(shape: cases.Shape, device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Return the prototypes (P_s, D) and the vectors (B, D, h*w) of each scale."""
    prototypes = cases.random((len(shape.table), shape.dim), device).chunk(shape.scales)
    vectors = cases.embedding(shape, device).flatten(3).unbind(1)
    return [p.clone() for p in prototypes], [z.contiguous() for z in vectors]


def compare_with_plain(
    name: str,
    shape: cases.Shape,
    call: Call,
    setting: cases.Setting,
    memory: Bound | None = None,
) -> Iterator[Figure]:
    """Measure the time and the peak memory of a call against the plain formulas.

    Args:
        name: Name of what the call computes.
        shape: Shape of the maps, the unit of memory.
        call: Call to measure.
        setting: How to measure.
        memory: Bound on the peak memory, in maps (B, P, h, w).
    """
    calls = {"protoxai": call, "plain": plain(call)}
    times = side_by_side(calls, setting.rounds)
    yield Figure.of_times(name, shape.name, times, ("plain", "protoxai"))
    one_map = 4 * torch.Size(shape.maps).numel()
    for variant, bound in (("protoxai", memory), ("plain", None)):
        peak = peak_memory(calls[variant], setting.device)
        yield Figure(
            f"{name}: peak memory",
            shape.name,
            f"{variant} / map (B, P, h, w)",
            Ratio.certain(peak / one_map),
            bound,
            {"peak, MB": peak / 1e6, "map, MB": one_map / 1e6},
        )


def _against_plain(
    name: str,
    shape: cases.Shape,
    pipeline: Pipeline,
    setting: cases.Setting,
    memory: Bound | None = None,
) -> Iterator[Figure]:
    embedding = cases.embedding(shape, setting.device)
    directions: dict[str, tuple[Callable[[Tensor], Call], Bound | None]] = {
        "forward": (pipeline.forward, None),
        "forward + backward": (pipeline.forward_backward, memory),
    }
    for direction, (make, bound) in directions.items():
        title = f"{name}, {direction}"
        yield from compare_with_plain(title, shape, make(embedding), setting, bound)
