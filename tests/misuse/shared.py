"""Domains that arguments of several packages have."""

from __future__ import annotations

import torch

from tests.misuse import values as v
from tests.misuse.domains import (
    NAN,
    Domain,
    constants,
    labels,
    numbers,
    objects,
    pairs,
    tensors,
    wholes,
    words,
)

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
# Of heads, and of the models that they are part of.
WEIGHT = numbers(-0.5)
LAST = words("dense")
EPSILON = numbers(1e-4, above=0, below=1)
EMBEDDING = tensors(v.embedding, fixed=(1, 2), meta=True)
KEPT = Domain(
    lambda: [0, 4, 8],
    constants(
        none=None,
        text="a",
        number=3,
        far=[99],
        negative=[-1],
        twice=[0, 0],
        fractions=[0.5],
        words=["a"],
        nested=[[0, 1]],
        empty=[],
        object=object(),
        flags=[True],
        complex=[1j],
    ),
)
FOLDER_SIZE = pairs((16, 24))
CLASS = wholes(1, least=0, most=2)
SHARE = numbers(0.05, least=0, below=1)
MAPS = tensors(v.maps, fixed=(0, 1, 2), real=True)
SEED = wholes(0, least=0)
SEEDS = Domain(
    lambda: [0, 1],
    constants(text="ab", number=3, few=[1], fractions=[0.5, 1.5], words=["a", "b"], mapping={}),
)
OPTIONS = {"resamples": wholes(50), "seed": SEED}
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
