"""Valid calls of the losses."""

from __future__ import annotations

from typing import Any

import torch

from protoxai import losses as L
from protoxai.losses import criterion
from tests.misuse import values as v
from tests.misuse.call import call, method
from tests.misuse.domains import (
    INF,
    NAN,
    Domain,
    constants,
    flags,
    functions,
    numbers,
    objects,
    tensors,
    wholes,
    words,
)
from tests.misuse.shared import (
    ACTIVATIONS,
    ANY_SIZE,
    CLASS_WEIGHT,
    GROUPS,
    HEAD,
    LABELS,
    TABLE,
    VOID,
)

for function in (
    L.prototype_diversity_loss,
    L.spatial_entropy_loss,
    L.sample_entropy_loss,
    L.activation_norm_loss,
):
    first = "distances" if function is L.prototype_diversity_loss else "activations"
    extra = {"norm": words("l1")} if function is L.activation_norm_loss else {}
    call(
        "protoxai.losses",
        function.__name__,
        function,
        **{first: ACTIVATIONS},
        labels=LABELS,
        table=TABLE,
        ignore_index=VOID,
        **extra,
    )
for kind, first in (
    (L.PrototypeDiversityLoss, "distances"),
    (L.SpatialEntropyLoss, "activations"),
    (L.SampleEntropyLoss, "activations"),
    (L.ActivationNormLoss, "activations"),
):
    extra = {"norm": words("l1")} if kind is L.ActivationNormLoss else {}
    call("protoxai.losses", kind.__name__, kind, table=TABLE, ignore_index=VOID, **extra)
    call(
        "protoxai.losses",
        f"{kind.__name__}.forward",
        method(lambda kind=kind: kind(v.table()), "forward"),
        **{first: ACTIVATIONS},
        labels=LABELS,
    )
SCORES = tensors(lambda: v.random(2, 6, 4, 6), fixed=(0, 1, 2, 3), meta=True)
call(
    "protoxai.losses",
    "group_diversity_loss",
    L.group_diversity_loss,
    group_scores=SCORES,
    labels=LABELS.but("no_class", "almost_void"),
    ignore_index=VOID,
    group_class=tensors(lambda: torch.tensor([0, 0, 1, 1, 2, 2]), fixed=(0,)),
)
call(
    "protoxai.losses",
    "GroupDiversityLoss",
    L.GroupDiversityLoss,
    group_table=TABLE,
    ignore_index=VOID,
)
call(
    "protoxai.losses",
    "GroupDiversityLoss.forward",
    method(lambda: L.GroupDiversityLoss(v.groups().group_table), "forward"),
    group_scores=SCORES,
    labels=LABELS,
)
for function in (L.group_entropy_loss, L.group_cross_entropy_loss, L.scale_max_loss):
    call("protoxai.losses", function.__name__, function, head=GROUPS)
for kind in (L.GroupEntropyLoss, L.GroupCrossEntropyLoss, L.ScaleMaxLoss):
    call("protoxai.losses", f"{kind.__name__}.forward", method(kind, "forward"), head=GROUPS)
call("protoxai.losses", "off_class_l1_loss", L.off_class_l1_loss, head=HEAD)
call("protoxai.losses", "OffClassL1Loss.forward", method(L.OffClassL1Loss, "forward"), head=HEAD)
LOGITS = tensors(lambda: v.random(2, 3, 4, 6), fixed=(0, 2, 3), meta=True)
call(
    "protoxai.losses",
    "cross_entropy_loss",
    L.cross_entropy_loss,
    logits=LOGITS,
    labels=LABELS,
    class_weight=CLASS_WEIGHT,
    ignore_index=VOID,
)
WEIGHTS = Domain(
    lambda: [1.0, 2.0, 3.0],
    constants(
        text="text",
        number=3,
        nan=[NAN, 1],
        negative=[-1.0, 1],
        words=["a"],
        complex=[1j],
        nested=[[1.0]],
        empty=[],
        infinite=[INF],
        mapping={},
    ),
)
ANY_VOID = wholes(255, least=None)
call(
    "protoxai.losses",
    "CrossEntropyLoss",
    L.CrossEntropyLoss,
    class_weight=WEIGHTS,
    ignore_index=ANY_VOID,
)
call(
    "protoxai.losses",
    "CrossEntropyLoss.forward",
    method(L.CrossEntropyLoss, "forward"),
    logits=LOGITS,
    labels=LABELS,
)
TERM = numbers(0.5)
call(
    "protoxai.losses",
    "ScaleProtoSegLoss",
    L.ScaleProtoSegLoss,
    class_weight=WEIGHTS,
    ignore_index=ANY_VOID,
    **dict.fromkeys(sorted(L.loss_terms()), TERM),
)
call(
    "protoxai.losses",
    "ScaleProtoSegLoss.forward",
    method(lambda: L.ScaleProtoSegLoss(off_class_l1=0.1), "forward"),
    output=objects(v.output),
    labels=ANY_SIZE,
    head=HEAD,
)
call(
    "protoxai.losses",
    "register_loss",
    L.register_loss,
    name=words("mine").but("unknown", "empty"),
    grouped=flags(),
)


def registered_loss(loss: Any) -> None:
    L.register_loss("mine")(loss)
    criterion.TERMS.pop("mine")


call(
    "protoxai.losses",
    "register_loss()",
    registered_loss,
    loss=functions(lambda output, labels, head, ignore_index: None).also(few=lambda x: x),
)
