"""Domains that arguments of several packages have."""

from __future__ import annotations

import torch

from tests.misuse import values as v
from tests.misuse.domains import NAN, Domain, constants, labels, objects, pairs, tensors, wholes

TABLE = objects(v.table)
VOID = wholes(255, least=None).also(a_class=1)
ACTIVATIONS = tensors(v.activations, fixed=(0, 1, 2, 3), meta=True)
LABELS = labels(v.labels, v.CLASSES, fixed=(0, 1, 2))
ANY_SIZE = labels(v.labels, v.CLASSES, fixed=(0,))
HEAD = objects(v.head, table=v.table())
GROUPS = objects(v.groups, head=v.head(), table=v.table())
CLASS_WEIGHT = tensors(lambda: torch.ones(3), fixed=(0,), real=True, meta=True)
CLASS_WEIGHT = CLASS_WEIGHT.but("none", "fewer_dimensions")
CLASS_WEIGHT = CLASS_WEIGHT.also(negative=torch.tensor([1.0, -1, 1]), nan=torch.tensor([NAN, 1, 1]))
MODEL = objects(v.model, unlike=v.Unlike())
FOLDER_SIZE = pairs((16, 24))
INDEX = Domain(
    lambda: [4, 7],
    constants(
        text="ab",
        fractions=[0.5, 1.5],
        few=[1],
        many=[1, 2, 3],
        flags=[True, False],
        words=["a", "b"],
        mapping={},
        object=object(),
        complex=[1j, 2j],
    ),
)
