"""The costs that the guard compares: small, quick to measure, and relative to a yardstick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from benchmarks.speed import cases, literal
from benchmarks.speed.explanations import Question
from benchmarks.speed.inference import predicting
from benchmarks.speed.logits import grouped, product_factors
from benchmarks.speed.losses import both_ways
from benchmarks.speed.measure import Call, peak_memory, side_by_side
from benchmarks.speed.models import Projection, Trunk, training_step
from protoxai.losses import ScaleProtoSegLoss, group_entropy_loss, prototype_diversity_loss

Cost = Callable[[], float]

ROUNDS = 5
SMALL = cases.Shape("small", side=24, classes=12, present=4)
# 480 prototypes; a map of theirs is 1 MB.
HEAD = cases.Shape("head", side=24, classes=40, present=4, batch=1)
TRUNK = Trunk("timm/resnet18", 97, bounded=False)


def relative(ours: Call, yardstick: Call, prepare: Call | None = None) -> Cost:
    """Return what measures how many times longer a call takes than its yardstick."""
    calls = {"ours": ours, "yardstick": yardstick}
    before = {} if prepare is None else {"ours": prepare}
    return lambda: side_by_side(calls, ROUNDS, before).ratio("ours", "yardstick").value


def diversity() -> Cost:
    """Prototype diversity, forward and backward, against the literal formulation."""
    maps = cases.random(SMALL.maps, cases.CPU).requires_grad_()
    labels = cases.labels(SMALL, cases.CPU)
    arguments = (maps, labels, SMALL.table)
    return relative(
        both_ways([maps], prototype_diversity_loss, *arguments),
        both_ways([maps], literal.prototype_diversity, *arguments),
    )


def diversity_memory() -> Cost:
    """Its peak memory against the distances."""
    maps = cases.random(SMALL.maps, cases.CPU).requires_grad_()
    labels = cases.labels(SMALL, cases.CPU)
    call = both_ways([maps], prototype_diversity_loss, maps, labels, SMALL.table)
    return lambda: peak_memory(call) / maps.nbytes


def group_entropy() -> Cost:
    """Group entropy, forward and backward, against the literal formulation."""
    head = cases.group_head(SMALL, cases.CPU)
    rows = cases.class_weights(head)
    return relative(
        both_ways([head.group_parameter], group_entropy_loss, head),
        both_ways(rows, literal.group_entropy, rows),
    )


def least_forward() -> Call:
    """Return what no way to the logits can do without: the product, and its logarithm."""
    prototypes, vectors = product_factors(HEAD, cases.CPU)
    return lambda: [(p @ z).log() for p, z in zip(prototypes, vectors, strict=True)]


def least_both_ways() -> Call:
    """Return the same, forward and backward."""
    prototypes, vectors = product_factors(HEAD, cases.CPU)
    leaves = [factor.requires_grad_() for factor in (*prototypes, *vectors)]
    gradient = torch.ones(HEAD.batch, len(prototypes[0]), vectors[0].shape[2])

    def call() -> object:
        logarithms = [(p @ z).log() for p, z in zip(prototypes, vectors, strict=True)]
        return torch.autograd.grad(logarithms, leaves, [gradient] * len(logarithms))

    return call


def logits_forward() -> Cost:
    """The way to the grouped logits, all maps returned."""
    way = grouped(cases.prototype_layer(HEAD, cases.CPU), cases.group_head(HEAD, cases.CPU))
    return relative(way.forward(cases.embedding(HEAD, cases.CPU)), least_forward())


def logits_both_ways() -> Cost:
    """The way to the grouped logits and back."""
    way = grouped(cases.prototype_layer(HEAD, cases.CPU), cases.group_head(HEAD, cases.CPU))
    return relative(way.both_ways(cases.embedding(HEAD, cases.CPU)), least_both_ways())


def streaming() -> Cost:
    """`predict` without a trunk."""
    return relative(predicting(HEAD, cases.Setting()), least_forward())


def streaming_memory() -> Cost:
    """Peak memory of `predict` of many classes at image resolution, against the logits."""
    shape = replace(HEAD, classes=300)
    logits = 4 * shape.classes * shape.side**2
    call = predicting(shape, cases.Setting(), stride=4)
    return lambda: peak_memory(call) / logits


def compact() -> Cost:
    """`predict` of a compact model with 40 % active prototypes, against the full one."""
    full, images = cases.all_head(HEAD, cases.CPU)
    cases.keep_active(full, share=0.4)
    return relative(partial(full.compact().predict, images), partial(full.predict, images))


def training() -> Cost:
    """A training step of stage 1, against DeepLabv2 on the same trunk."""
    batch = TRUNK.batch(cases.CPU)
    stage1 = ScaleProtoSegLoss(off_class_l1=1e-4)
    plain = ScaleProtoSegLoss(prototype_diversity=0)
    return relative(
        training_step(TRUNK.prototypical(cases.CPU), stage1, batch),
        training_step(TRUNK.linear(cases.CPU), plain, batch),
    )


def projection() -> Cost:
    """Projection, against a forward pass over the same images."""
    model = TRUNK.prototypical(cases.CPU).eval()
    project = Projection(model, [TRUNK.batch(cases.CPU)] * 2)
    return relative(project, project.forward_only, prepare=project.restore)


def explanation() -> Cost:
    """The explanation of all regions, against five steps of integrated gradients."""
    question = Question("timm/resnet18", 72, 96, steps=5)
    calls = question.calls(cases.CPU, ("IntegratedGradients",))
    return relative(calls["all regions"], calls["IntegratedGradients"])


GUARDED: dict[str, Callable[[], Cost]] = {
    "prototype diversity / literal": diversity,
    "prototype diversity, memory / distances": diversity_memory,
    "group entropy / literal": group_entropy,
    "grouped logits / product and logarithm": logits_forward,
    "grouped logits and back / the same": logits_both_ways,
    "predict, no trunk / product and logarithm": streaming,
    "predict, memory / logits": streaming_memory,
    "predict, compact / full": compact,
    "training step / DeepLabv2": training,
    "projection / forward pass": projection,
    "explanation / integrated gradients (5)": explanation,
}
