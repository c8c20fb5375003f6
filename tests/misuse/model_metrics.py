"""Valid calls of the metrics of prototypes and of segmentation."""

from __future__ import annotations

from typing import Any

import torch

from protoxai import metrics as M
from tests.misuse import values as v
from tests.misuse.call import call, method
from tests.misuse.domains import (
    NAN,
    Domain,
    constants,
    functions,
    labels,
    numbers,
    objects,
    tensors,
    wholes,
    words,
)
from tests.misuse.shared import (
    ANY_SIZE,
    CLASS,
    GROUPS,
    HEAD,
    INDEX,
    LABELS,
    MODEL,
    OPTIONS,
    SEED,
    SEEDS,
    SHARE,
    TABLE,
    VOID,
)

METRIC_ACTIVATIONS = tensors(v.activations, fixed=(0, 1))
call(
    "protoxai.metrics",
    "activation_scale_diversity",
    M.activation_scale_diversity,
    activations=METRIC_ACTIVATIONS,
    labels=ANY_SIZE,
    table=TABLE,
    ignore_index=VOID,
)
call(
    "protoxai.metrics",
    "ActivationScaleDiversity",
    M.ActivationScaleDiversity,
    table=TABLE,
    ignore_index=VOID,
    **OPTIONS,
)
call(
    "protoxai.metrics",
    "ActivationScaleDiversity.update",
    method(lambda: M.ActivationScaleDiversity(v.table())),
    activations=METRIC_ACTIVATIONS,
    labels=ANY_SIZE,
    index=INDEX,
)
call("protoxai.metrics", "active_prototypes", M.active_prototypes, head=HEAD, threshold=SHARE)
call("protoxai.metrics", "ActivePrototypes", M.ActivePrototypes, threshold=SHARE)
call("protoxai.metrics", "ActivePrototypes.update", method(M.ActivePrototypes), head=HEAD)
call("protoxai.metrics", "group_overlap", M.group_overlap, head=GROUPS)
call("protoxai.metrics", "GroupOverlap.update", method(M.GroupOverlap), head=GROUPS)
call("protoxai.metrics", "group_scale_diversity", M.group_scale_diversity, head=GROUPS)
call("protoxai.metrics", "GroupScaleDiversity.update", method(M.GroupScaleDiversity), head=GROUPS)
call("protoxai.metrics", "group_sparsity", M.group_sparsity, head=GROUPS, threshold=SHARE)
call("protoxai.metrics", "GroupSparsity", M.GroupSparsity, threshold=SHARE)
call("protoxai.metrics", "GroupSparsity.update", method(M.GroupSparsity), head=GROUPS)
LAYER = objects(v.layer)
TOLERANCE = numbers(0.1, least=0)
call(
    "protoxai.metrics",
    "prototype_redundancy",
    M.prototype_redundancy,
    layer=LAYER,
    tolerance=TOLERANCE,
)
call("protoxai.metrics", "PrototypeRedundancy", M.PrototypeRedundancy, tolerance=TOLERANCE)
call("protoxai.metrics", "PrototypeRedundancy.update", method(M.PrototypeRedundancy), layer=LAYER)
HITS = tensors(v.hits, fixed=(0, 1, 2)).also(no_hits=v.hits() * 0.5)
OTHER_HITS = tensors(v.other_hits, fixed=(0, 2, 3)).also(no_hits=v.other_hits() * 0.5)
MIN_IMAGES = wholes(2)
call(
    "protoxai.metrics",
    "part_consistency",
    M.part_consistency,
    hits=HITS,
    other_hits=OTHER_HITS,
    min_images=MIN_IMAGES,
    seed=SEED,
)
call(
    "protoxai.metrics",
    "part_stability",
    M.part_stability,
    hits=HITS,
    noisy_hits=HITS,
    other_hits=OTHER_HITS,
)
PART_CLASS = Domain(
    lambda: (0, 0, 1, 2),
    constants(
        none=None,
        number=3,
        text="0012",
        short=(0,),
        words=("a",) * 4,
        fractions=(0.5,) * 4,
        far=(0, 0, 1, 9),
        negative=(0, 0, -1, 2),
        mapping={},
        complex=(1j,) * 4,
    ),
)
PARTS = tensors(lambda: v.labels() + 1, fixed=(0, 1, 2)).also(
    far=torch.full((2, 4, 6), 9), negative=torch.full((2, 4, 6), -1)
)
PART_LABELS = LABELS.but("no_class", "below", "almost_void")
PART_ACTIVATIONS = tensors(v.activations, fixed=(0, 1))
SCENES = {
    "activations": PART_ACTIVATIONS,
    "labels": PART_LABELS,
    "parts": PARTS,
    "table": TABLE,
    "part_class": PART_CLASS,
    "seeds": SEEDS,
}
call("protoxai.metrics", "part_hits", M.part_hits, **SCENES)
call("protoxai.metrics", "chance_hits", M.chance_hits, **SCENES, partners=wholes(2))
ACTIVE = Domain(
    lambda: torch.tensor([0, 1]),
    constants(
        text="a",
        number=3,
        far=torch.tensor([99]),
        negative=torch.tensor([-1]),
        fractions=torch.tensor([0.5]),
        object=object(),
        flags=torch.tensor([True, False]),
        complex=torch.tensor([1j]),
    ),
)
OF_PARTS = {"table": TABLE, "part_class": PART_CLASS.but("short"), "active": ACTIVE, **OPTIONS}
call(
    "protoxai.metrics",
    "PartConsistency",
    M.PartConsistency,
    **OF_PARTS,
    min_images=MIN_IMAGES,
)
call(
    "protoxai.metrics",
    "PartStability",
    M.PartStability,
    **OF_PARTS,
    clip=numbers(0.25, above=0).but("none"),
)
call(
    "protoxai.metrics",
    "PartConsistency.update",
    method(lambda: M.PartConsistency(v.table(), (0, 0, 1, 2))),
    activations=PART_ACTIVATIONS,
    labels=PART_LABELS,
    parts=PARTS,
    index=INDEX,
)
ONE_IMAGE = tensors(lambda: v.images()[0], fixed=(0, 1, 2)).but("more_dimensions")
ONE_REGION = tensors(lambda: torch.ones(v.SIZE, dtype=torch.bool), fixed=(0, 1)).but(
    "more_dimensions"
)
MISALIGNMENT = {"model": MODEL, "image": ONE_IMAGE, "region": ONE_REGION}
ADVERSARY = {"steps": wholes(1, least=0), "batch_size": wholes(2)}
call(
    "protoxai.metrics",
    "prototype_misalignment",
    M.prototype_misalignment,
    **MISALIGNMENT,
    prototypes=Domain(
        lambda: [0, 1],
        constants(
            none=None, number=3, text="01", twice=[0, 0], far=[0, 99], negative=[-1], classes=[0, 2]
        ),
    ),
    **ADVERSARY,
    seed=SEED,
)
call(
    "protoxai.metrics",
    "PrototypeMisalignment",
    M.PrototypeMisalignment,
    **ADVERSARY,
    threshold=SHARE,
    **OPTIONS,
)
call(
    "protoxai.metrics",
    "PrototypeMisalignment.update",
    method(lambda: M.PrototypeMisalignment(1)),
    **MISALIGNMENT,
    class_index=CLASS,
    index=Domain(lambda: 4, constants(text="a", many=[1, 2], fraction=0.5, object=object())),
)
PURITY = {"patches": wholes(2).also(many=1000), "ignore_index": VOID}
call("protoxai.metrics", "prototype_purity", M.prototype_purity, **SCENES, **PURITY)
call(
    "protoxai.metrics",
    "PrototypePurity",
    M.PrototypePurity,
    table=TABLE,
    part_class=PART_CLASS.but("short", "none"),
    active=ACTIVE,
    **PURITY,
    seed=SEED,
)
call(
    "protoxai.metrics",
    "PrototypePurity.update",
    method(lambda: M.PrototypePurity(v.table(), (0, 0, 1, 2))),
    activations=PART_ACTIVATIONS,
    labels=LABELS,
    parts=PARTS,
    index=INDEX,
)
call(
    "protoxai.metrics",
    "PartStability.update",
    method(lambda: M.PartStability(v.table(), (0, 0, 1, 2))),
    activations_of=functions(lambda x: v.activations()).also(
        wrong=lambda x: x.sum(), none=lambda x: None
    ),
    images=tensors(lambda: v.random(2, 3, 4, 6), fixed=(0,)),
    labels=PART_LABELS,
    parts=PARTS,
    index=INDEX,
)
CONFUSION = (
    tensors(lambda: torch.ones(3, 3, dtype=torch.long), fixed=(0,), real=True)
    .but("floating", "doubles")
    .also(negative=-torch.ones(3, 3).long(), nan=torch.full((3, 3), NAN))
)
call("protoxai.metrics", "iou_per_class", M.iou_per_class, confusion=CONFUSION)
PREDICTED = (
    labels(v.labels, v.CLASSES, fixed=(0, 1, 2))
    .but("floating", "doubles")
    .also(floats=v.maps(), void=torch.full((2, 4, 6), 255))
)
call(
    "protoxai.metrics",
    "mean_iou",
    M.mean_iou,
    predicted=PREDICTED,
    labels=LABELS,
    num_classes=wholes(3),
    ignore_index=VOID,
)
call("protoxai.metrics", "MeanIoU", M.MeanIoU, num_classes=wholes(3), ignore_index=VOID)
call(
    "protoxai.metrics",
    "MeanIoU.update",
    method(lambda: M.MeanIoU(3)),
    preds=PREDICTED,
    target=LABELS,
    index=INDEX,
)


def interval(**options: Any) -> Any:
    metric = M.MeanIoU(3)
    metric.update(v.labels(), v.labels(), [0, 1])
    return metric.interval(**options)


call(
    "protoxai.metrics",
    "MeanIoU.interval",
    interval,
    group_of=functions(lambda index: index).but("none"),
)
LIST_OF_VALUES = tensors(lambda: v.random(5), fixed=(0,), real=True).but("fewer_dimensions")
call("protoxai.metrics", "spearman", M.spearman, first=LIST_OF_VALUES, second=LIST_OF_VALUES)
call(
    "protoxai.metrics",
    "estimate",
    M.estimate,
    rows=tensors(lambda: v.random(5), fixed=(0,), real=True).but("fewer_dimensions"),
    groups=Domain(
        lambda: ["a", "a", "b", "c", "c"],
        constants(number=3, text="abcde", few=["a"], lists=[[0]] * 5, fractions=torch.rand(5)),
    ),
    **OPTIONS,
)
call("protoxai.metrics", "metric_named", M.metric_named, name=words("sparseness"))
call(
    "protoxai.metrics",
    "register_metric",
    M.register_metric,
    name=words("mine").but("unknown", "empty"),
)
call(
    "protoxai.metrics",
    "register_metric()",
    lambda kind: M.register_metric("sparseness")(kind),
    kind=objects(lambda: M.Sparseness),
)
