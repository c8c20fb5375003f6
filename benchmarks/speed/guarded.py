"""Costs that the guard compares: small, quick to measure, and relative to a yardstick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.speed import cases, literal
from benchmarks.speed.explanations import ExplanationTask
from benchmarks.speed.logits import grouped
from benchmarks.speed.measure import Call, peak_memory, side_by_side
from benchmarks.speed.models import Projection, Trunk, training_step
from protoxai import PrototypeTable, SparseGroupHead
from protoxai.losses import ScaleProtoSegLoss, prototype_diversity_loss

Cost = Callable[[], float]

ROUNDS = 5
SMALL = cases.Shape("small", side=24, classes=12, present=4)
# The maps of its 480 prototypes take 1 MB.
HEAD = cases.Shape("head", side=24, classes=40, present=4, batch=1)
TRUNK = Trunk("timm/resnet18", 97, bounded=False)


def relative(ours: Call, yardstick: Call, prepare: Call | None = None) -> Cost:
    """Return a function that measures how many times longer a call takes than its yardstick."""
    calls = {"ours": ours, "yardstick": yardstick}
    before = {} if prepare is None else {"ours": prepare}
    return lambda: side_by_side(calls, ROUNDS, before).ratio("ours", "yardstick").value


def diversity() -> Cost:
    """Measure prototype diversity, forward and backward, against the literal formulation."""
    maps, labels = _diversity_inputs()
    return relative(
        partial(_gradient, prototype_diversity_loss, maps, labels),
        partial(_gradient, literal.prototype_diversity, maps, labels),
    )


def diversity_memory() -> Cost:
    """Measure its peak memory against the distances."""
    maps, labels = _diversity_inputs()
    call = partial(_gradient, prototype_diversity_loss, maps, labels)
    return lambda: peak_memory(call) / maps.nbytes


def literal_logits(*, backward: bool = False) -> Call:
    """Return a call that computes grouped logits literally, with every gradient if asked for.

    It does the same kinds of work as ours (products, logarithms, maps written and read), so that
    their ratio changes little from one processor to another.
    """
    pipeline = grouped(HEAD, cases.CPU)
    head = pipeline.head
    assert isinstance(head, SparseGroupHead)
    prototypes, rows = pipeline.layer.prototypes, cases.class_weights(head)
    embedding = cases.embedding(HEAD, cases.CPU).requires_grad_(backward)

    def call() -> object:
        with torch.set_grad_enabled(backward):
            logits = literal.grouped_logits(embedding, prototypes, HEAD.table, rows, head.weight)
        leaves = [embedding, prototypes, head.weight, *rows]
        return torch.autograd.grad(logits.sum(), leaves) if backward else logits

    return call


def logits_forward() -> Cost:
    """Measure grouped logits, all maps returned."""
    pipeline = grouped(HEAD, cases.CPU)
    return relative(pipeline.forward(cases.embedding(HEAD, cases.CPU)), literal_logits())


def logits_forward_backward() -> Cost:
    """Measure grouped logits, forward and backward."""
    call = grouped(HEAD, cases.CPU).forward_backward(cases.embedding(HEAD, cases.CPU))
    return relative(call, literal_logits(backward=True))


def streaming() -> Cost:
    """Measure `predict` without a trunk."""
    model, images = cases.head_only(HEAD, cases.CPU)
    return relative(partial(model.predict, images), literal_logits())


def streaming_memory() -> Cost:
    """Measure the peak memory of `predict` of many classes at image size, against the logits."""
    shape = replace(HEAD, classes=300)
    logits = 4 * shape.classes * shape.side**2
    model, images = cases.head_only(shape, cases.CPU, stride=4)
    return lambda: peak_memory(partial(model.predict, images)) / logits


def compact() -> Cost:
    """Measure `predict` of a compact model with 40 % active prototypes, against the full one."""
    full, images = cases.head_only(HEAD, cases.CPU)
    cases.keep_active(full, share=0.4)
    return relative(partial(full.compact().predict, images), partial(full.predict, images))


def training() -> Cost:
    """Measure a training step of stage 1, against DeepLabv2 on the same trunk."""
    batch = TRUNK.batch(cases.CPU)
    stage1 = ScaleProtoSegLoss(off_class_l1=1e-4)
    plain = ScaleProtoSegLoss(prototype_diversity=0)
    return relative(
        training_step(TRUNK.prototypical(cases.CPU), stage1, batch),
        training_step(TRUNK.linear(cases.CPU), plain, batch),
    )


def projection() -> Cost:
    """Measure projection against a forward pass over the same images."""
    model = TRUNK.prototypical(cases.CPU).eval()
    project = Projection(model, [TRUNK.batch(cases.CPU)] * 2)
    return relative(project, project.forward_only, prepare=project.restore)


def explanation() -> Cost:
    """Measure the explanation of all regions, against five steps of integrated gradients."""
    task = ExplanationTask("timm/resnet18", 72, 96, steps=5)
    calls = task.calls(cases.CPU, ("IntegratedGradients",))
    return relative(calls["all regions"], calls["IntegratedGradients"])


def _diversity_inputs() -> tuple[Tensor, Tensor]:
    maps = cases.random(SMALL.maps, cases.CPU).requires_grad_()
    return maps, cases.labels(SMALL, cases.CPU)


def _gradient(
    loss: Callable[[Tensor, Tensor, PrototypeTable], Tensor], maps: Tensor, labels: Tensor
) -> object:
    return torch.autograd.grad(loss(maps, labels, SMALL.table), maps)


GUARDED: dict[str, Callable[[], Cost]] = {
    "prototype diversity / literal": diversity,
    "prototype diversity, memory / distances": diversity_memory,
    "grouped logits / literal": logits_forward,
    "grouped logits, with backward / literal": logits_forward_backward,
    "predict, no trunk / literal logits": streaming,
    "predict, memory / logits": streaming_memory,
    "predict, compact / full": compact,
    "training step / DeepLabv2": training,
    "projection / forward pass": projection,
    "explanation / integrated gradients (5)": explanation,
}
