"""Valid calls of reports and pages."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

import protoxai as P
from protoxai import explanations as X
from tests.misuse import values as v
from tests.misuse.call import call
from tests.misuse.domains import Domain, constants, flags, wholes, words
from tests.misuse.shared import MODEL

TITLE = words("Streets").but("none", "unknown", "empty")


def samples() -> list[dict[str, object]]:
    return [{"image": v.images()[0], "labels": v.labels(*v.SIZE), "id": "a"}]


call(
    "protoxai",
    "report",
    P.report,
    model=MODEL,
    data=Domain(
        samples,
        constants(
            none=None,
            number=3,
            text="text",
            empty=[],
            numbers=[3],
            mapping={"image": 3},
            images=v.images(),
            no_image=[{"labels": v.labels(*v.SIZE)}],
            array=[{"image": np.zeros((3, 16, 24))}],
            integers=[{"image": torch.zeros(3, 16, 24, dtype=torch.int64)}],
        ),
    ),
    path=Domain(
        lambda: Path(tempfile.mkdtemp()) / "report.html",
        constants(none=None, number=3, empty="", list=["a"], array=np.zeros(2), folder="/"),
    ),
    images=wholes(1, least=0, most=1000),
    patches=flags(True),
    inactive=flags(False),
    title=TITLE,
    details=Domain(lambda: {"Data": "x"}, constants(text="text", number=3, list=["a"])),
)
call(
    "protoxai.explanations",
    "explanation_page",
    X.explanation_page,
    explanations=Domain(
        v.explanation,
        constants(none=None, number=3, text="text", empty=[], numbers=[3], images=v.images()),
    ),
    names=Domain(
        lambda: ["a"],
        constants(text="a", number=3, numbers=[3], empty=[], two=["a", "b"]),
    ),
    palette=Domain(
        lambda: [(0, 0, 0)] * v.CLASSES,
        constants(text="a", number=3, few=[(0, 0, 0)], large=[(0, 0, 256)] * v.CLASSES),
    ),
    patches=flags(True),
    title=TITLE,
)
