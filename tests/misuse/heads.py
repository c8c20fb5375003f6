"""Valid calls of heads."""

from __future__ import annotations

import torch

import protoxai as P
from tests.misuse import values as v
from tests.misuse.call import call, method
from tests.misuse.domains import (
    tensors,
    wholes,
)
from tests.misuse.shared import CLASS, KEPT, LAST, SHARE, TABLE, WEIGHT

call("protoxai", "PrototypeHead", P.PrototypeHead, table=TABLE, off_class=WEIGHT, last_layer=LAST)
call(
    "protoxai",
    "SparseGroupHead",
    P.SparseGroupHead,
    table=TABLE,
    num_groups=wholes(2),
    off_class=WEIGHT,
    last_layer=LAST,
)
UNITS = tensors(v.activations, fixed=(1,), meta=True)
call("protoxai", "PrototypeHead.forward", method(v.head, "forward"), activations=UNITS)
call("protoxai", "SparseGroupHead.forward", method(v.groups, "forward"), activations=UNITS)
call("protoxai", "SparseGroupHead.scores", method(v.groups, "scores"), activations=UNITS)
OPTIONAL_CLASS = CLASS.but("none")
call(
    "protoxai",
    "SparseGroupHead.group_weights",
    method(v.groups, "group_weights"),
    class_index=OPTIONAL_CLASS,
)
call(
    "protoxai",
    "PrototypeHead.class_weights",
    method(v.head, "class_weights"),
    class_index=OPTIONAL_CLASS,
)
call("protoxai", "SparseGroupHead.threshold_", method(v.groups, "threshold_"), threshold=SHARE)
call("protoxai", "PrototypeHead.keep", method(v.head, "keep"), indices=KEPT)
call("protoxai", "SparseGroupHead.keep", method(v.groups, "keep"), indices=KEPT)
DENSE = tensors(lambda: v.groups().group_weights().detach(), fixed=(0, 1), finite=True, real=True)
call(
    "protoxai",
    "SparseGroupHead.set_group_weights",
    method(v.groups, "set_group_weights"),
    dense=DENSE.also(ones=torch.ones(6, 12), negative=-torch.ones(6, 12)),
)
call(
    "protoxai",
    "project_to_simplex",
    P.project_to_simplex,
    rows=tensors(lambda: v.random(3, 4), fixed=(1,), rank=False, meta=True),
    mask=tensors(lambda: torch.ones(3, 4, dtype=torch.bool), fixed=(1,), rank=False, meta=True)
    .but("none")
    .also(empty=torch.zeros(3, 4, dtype=torch.bool)),
)
