"""Valid calls of explanations and their figures."""

from __future__ import annotations

import torch

import protoxai as P
from protoxai import explanations as X
from tests.misuse import values as v
from tests.misuse.call import call, method
from tests.misuse.domains import (
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
from tests.misuse.shared import CLASS, MODEL, SEED, VOID

IMAGE = (
    tensors(lambda: v.images()[0], fixed=(0,), finite=True)
    .but("more_dimensions", "text")
    .also(nothing=v.images()[:0], nested=[[1, 2]])
)


def projected() -> P.ScaleProtoSeg:
    model = v.small_model(v.CLASSES, prototypes_per_scale=2)
    P.project_prototypes(model, [(v.images(), v.labels(2, *v.SIZE))])
    return model


call(
    "protoxai",
    "ScaleProtoSeg.predict (abstaining)",
    lambda **k: projected().predict(v.images(), **k),
    abstain_below=numbers(0.3, least=0, most=1).but("none"),
    ignore_index=VOID,
)
LABELS = labels(lambda: v.labels(*v.SIZE), v.CLASSES, fixed=(0, 1))
call(
    "protoxai",
    "explain",
    P.explain,
    model=MODEL,
    image=IMAGE,
    labels=labels(lambda: v.labels(*v.SIZE), v.CLASSES, fixed=(0, 1)).but(
        "none", "more_dimensions"
    ),
    ignore_index=VOID,
)
REGION = tensors(lambda: torch.ones(v.SIZE, dtype=torch.bool), fixed=(0, 1)).but("array")
REGION = REGION.also(
    nothing=torch.zeros(v.SIZE, dtype=torch.bool),
    box_beyond=(0, 0, 17, 24),
    box_turned=(4, 4, 2, 8),
    box_of_three=(0, 0, 4),
    words=("a", "b", "c", "d"),
)
PROTOTYPE = wholes(3, least=0, most=v.PROTOTYPES - 1)
PREDICTED = Domain(lambda: int(v.explanation().prediction[0, 0]), CLASS.invalid)
QUESTIONS = {
    "at": {"row": wholes(3, least=0, most=15), "col": wholes(3, least=0, most=23)},
    "region": {"region": REGION, "class_index": CLASS.but("none")},
    "of_class": {"class_index": PREDICTED},
    "contrast": {
        "this": CLASS,
        "other": wholes(2, least=0, most=2).but("none").also(this=1),
        "region": REGION.but("none"),
    },
    "evidence_map": {"prototype": PROTOTYPE, "class_index": CLASS},
    "activation_map": {"prototype": PROTOTYPE},
    "firing": {"prototype": PROTOTYPE, "region": REGION.but("none")},
    "box": {"prototype": PROTOTYPE, "region": REGION.but("none")},
}
for _name, _arguments in QUESTIONS.items():
    _run = method(v.explanation, _name)
    call("protoxai.explanations", f"Explanation.{_name}", _run, **_arguments)
call(
    "protoxai.explanations",
    "receptive_field",
    X.receptive_field,
    model=MODEL,
    image=IMAGE,
    prototype=PROTOTYPE,
    cell=pairs((0, 5), below=(4, 0), beside=(0, 6)).but("none", "zero"),
    region=REGION.but("none"),
    method=words("Saliency"),
    samples=wholes(1),
    noise=numbers(0.1, least=0),
    seed=SEED,
)
INCHES = numbers(3.4, least=1, most=40)
call(
    "protoxai.explanations",
    "explanation_figure",
    X.explanation_figure,
    explanation=objects(v.explanation),
    regions=wholes(1),
    prototypes=wholes(1, most=12),
    width=INCHES,
    palette=Domain(
        lambda: [(0, 0, 0)] * 3,
        constants(
            text="text",
            number=3,
            few=[(0, 0, 0)],
            words=["red"] * 3,
            far=[(0, 0, 999)] * 3,
            pairs=[(0, 0)] * 3,
        ),
    ),
)
call(
    "protoxai.explanations",
    "contrast_figure",
    X.contrast_figure,
    explanation=objects(v.explanation),
    this=PREDICTED,
    region=REGION.but("none"),
    prototypes=wholes(1, most=50),
    width=INCHES,
)
call(
    "protoxai",
    "prototype_figure",
    P.prototype_figure,
    prototype=objects(lambda: v.explanation().prototypes[0]),
    width=INCHES,
)
call(
    "protoxai.explanations",
    "receptive_field_figure",
    X.receptive_field_figure,
    field=objects(lambda: X.receptive_field(v.model(), v.images()[0], 3, samples=1)),
    width=INCHES,
)
call(
    "protoxai",
    "gallery",
    P.gallery,
    model=MODEL,
    data=Domain(
        lambda: [{"image": v.images()[0]}],
        constants(
            number=3,
            text="text",
            nothing=[],
            tensors=[torch.zeros(3, 16, 24)],
            flat=[{"image": torch.zeros(16, 24)}],
            words=[{"image": "picture.png"}],
        ),
    ),
)
for _name, _arguments in {
    "figure": {"class_index": CLASS.but("none"), "width": numbers(3.4, least=3, most=40)},
    "figures": {"width": numbers(3.4, least=3, most=40)},
}.items():
    _run = method(lambda: P.gallery(v.model()), _name)
    call("protoxai.explanations", f"Gallery.{_name}", _run, **_arguments)
