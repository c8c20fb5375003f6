"""Valid calls of tables, layers and patches."""

from __future__ import annotations

import numpy as np

import protoxai as P
from protoxai.prototypes import Patch
from tests.misuse import values as v
from tests.misuse.call import call, method
from tests.misuse.domains import (
    NAN,
    Domain,
    constants,
    flags,
    tensors,
    wholes,
    words,
)
from tests.misuse.shared import EMBEDDING, EPSILON, KEPT, TABLE

LIST = Domain(
    lambda: [0, 1, 2],
    constants(
        none=None,
        text="012",
        number=3,
        far=[0, 1, 99],
        negative=[0, -1, 1],
        short=[0, 1],
        empty=[],
        fractions=[0.5, 1, 2],
        words=["a", "b", "c"],
        nested=[[0, 1, 2]],
        mapping={0: 1},
        complex=[0, 1j, 2],
        flags=[True, False, True],
    ),
)
call(
    "protoxai",
    "PrototypeTable",
    P.PrototypeTable,
    class_index=LIST,
    scale_index=LIST,
    num_classes=wholes(3),
    num_scales=wholes(3),
)
call(
    "protoxai",
    "PrototypeTable.regular",
    P.PrototypeTable.regular,
    num_classes=wholes(3),
    num_scales=wholes(2),
    per_scale=wholes(2),
)
call("protoxai", "PrototypeTable.keep", method(v.table, "keep"), indices=KEPT)
call("protoxai", "PrototypeTable.members", method(v.table, "members"), by=words("class"))
call(
    "protoxai",
    "MultiScalePrototypeLayer",
    P.MultiScalePrototypeLayer,
    table=TABLE,
    dim=wholes(4),
    epsilon=EPSILON,
    bounded=flags(),
)


call(
    "protoxai", "MultiScalePrototypeLayer.forward", method(v.layer, "forward"), embedding=EMBEDDING
)
call("protoxai", "MultiScalePrototypeLayer.keep", method(v.layer, "keep"), indices=KEPT)
call(
    "protoxai",
    "MultiScalePrototypeLayer.activation",
    method(v.layer, "activation"),
    distances=tensors(v.activations, rank=False, meta=True),
)


def patch() -> Patch:
    return Patch.cut(
        np.zeros((3, 16, 24), dtype=np.uint8), (0, 0, 16, 24), np.zeros((4, 6), dtype=np.uint8)
    )


BOX = Domain(
    lambda: (0, 0, 16, 24),
    constants(
        none=None,
        text="0123",
        number=3,
        few=(0, 0, 16),
        fractions=(0, 0, 16, 23.5),
        negative=(-1, 0, 16, 24),
        empty=(0, 0, 0, 24),
        words=("a", "b", "c", "d"),
        nan=(0, 0, NAN, 24),
    ),
)
call(
    "protoxai.prototypes",
    "Patch",
    Patch,
    content=Domain(
        lambda: patch().content,
        constants(none=None, text="RIFF", number=3, empty=b"", other=b"GIF89a", cut=b"RIFF"),
    ),
    window=BOX,
    activation=Domain(
        lambda: np.zeros((4, 6), dtype=np.uint8),
        constants(
            none=None,
            text="text",
            list=[[0]],
            floats=np.zeros((4, 6)),
            flat=np.zeros(6, dtype=np.uint8),
            empty=np.zeros((0, 6), dtype=np.uint8),
            large=np.zeros((25, 6), dtype=np.uint8),
        ),
    ),
)
