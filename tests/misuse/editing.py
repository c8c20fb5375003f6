"""Valid calls of what corrects a model."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

import protoxai as P
from protoxai import explanations as X
from tests.misuse import values as v
from tests.misuse.call import call
from tests.misuse.domains import Domain, constants, functions, objects, tensors
from tests.misuse.evaluation import BATCHES
from tests.misuse.shared import MODEL, VOID

PROTOTYPES = Domain(
    lambda: [3],
    constants(
        none=None,
        number=3,
        empty=[],
        far=[99],
        negative=[-1],
        twice=[3, 3],
        fractions=[0.5],
        words=["a"],
        mapping={3: 3},
        object=object(),
        all=list(range(12)),
    ),
)


@cache
def marks() -> str:
    """A file of marks of the small model."""
    path = Path(tempfile.mkdtemp()) / "marks.json"
    prototype = v.model().prototypes[3]
    entry = {"index": 3, "class": prototype.class_name, "image_id": None}
    path.write_text(json.dumps({"format": 1, "prototypes": [entry]}), encoding="utf-8")
    return str(path)


@cache
def after() -> X.Explanation:
    return P.explain(v.model().without([3]), v.images()[0])


call(
    "protoxai.explanations",
    "edit",
    X.edit,
    model=MODEL,
    prototypes=PROTOTYPES.also(text="none.json"),
    loader=BATCHES.also(empty=[]),
    refit=functions(lambda model: P.refit_last_layer(model, [v.batch()], off_class_l1=1))
    .but("none")
    .also(no_record=lambda model: model),
    image=tensors(lambda: v.images()[0], fixed=(0,), finite=True).but("none", "more_dimensions"),
    ignore_index=VOID,
)
call(
    "protoxai.explanations",
    "read_marks",
    X.read_marks,
    path=Domain(marks, constants(none=None, number=3, empty="", missing="none.json", list=["a"])),
    model=MODEL,
)
call(
    "protoxai.explanations",
    "explanation_change",
    X.explanation_change,
    before=objects(v.explanation),
    after=objects(after, before=v.explanation()),
    removed=PROTOTYPES.but("twice"),
)
