"""Valid calls of the projection, the evaluation, explanations and comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

import protoxai as P
from protoxai import attribution as A
from protoxai import comparison as C
from protoxai import evaluation as E
from protoxai import projection as R
from tests.misuse import values as v
from tests.misuse.call import call, method
from tests.misuse.domains import (
    NAN,
    Domain,
    constant,
    constants,
    flags,
    functions,
    numbers,
    objects,
    pairs,
    tensors,
    wholes,
)
from tests.misuse.shared import CLASS_WEIGHT, INDEX, LABELS, MODEL, SEED, TABLE, VOID

PROTOTYPE_ROWS = tensors(lambda: v.random(12, 4), fixed=(0,), finite=True)
call(
    "protoxai.projection",
    "PrototypeSearch",
    R.PrototypeSearch,
    table=TABLE,
    prototypes=PROTOTYPE_ROWS,
    ignore_index=VOID,
)


def search() -> R.PrototypeSearch:
    return R.PrototypeSearch(v.table(), v.random(12, 4))


call(
    "protoxai.projection",
    "PrototypeSearch.update",
    method(search),
    embedding=tensors(v.embedding, fixed=(0, 1, 2, 3, 4), finite=True),
    labels=LABELS,
    image_indices=INDEX.also(none=None),
)
STAGE_1 = objects(lambda: v.small_model(3), unlike=v.Unlike(), grouped=v.grouped())


def broken(**changes: Any) -> list[dict[str, Any]]:
    batch = {**v.batch(), **changes}
    return [{name: value for name, value in batch.items() if value is not None}]


BATCHES = Domain(
    lambda: [v.batch()],
    constants(
        none=None,
        number=3,
        text="text",
        numbers=[1, 2],
        tensor=v.images(),
        one_batch=v.batch(),
        no_labels=broken(labels=None),
        array_labels=broken(labels=np.zeros((2, 16, 24), int)),
        array_images=broken(image=np.zeros((2, 3, 16, 24), "f")),
        far_labels=broken(labels=torch.full((2, 16, 24), 7)),
        few_labels=broken(labels=v.labels(1, 16, 24)),
        float_labels=broken(labels=torch.ones(2, 16, 24)),
        nan_images=broken(image=v.images() * NAN),
        flat_images=broken(image=v.images()[0]),
        integer_images=broken(image=v.images().byte()),
        complex_images=broken(image=v.images() * 1j),
        picture=broken(image=Image.new("RGB", (24, 16))),
        list_labels=broken(labels=[[1]]),
        no_images=broken(image=None),
    ),
)
call(
    "protoxai.projection",
    "project_prototypes",
    R.project_prototypes,
    model=STAGE_1,
    batches=BATCHES.also(empty=[]),
    ignore_index=VOID,
    image_of=Domain(
        lambda: lambda index: torch.zeros(3, 16, 24, dtype=torch.uint8),
        constants(
            number=3,
            text="image",
            list=[0],
            no_image=lambda index: index,
            floats=lambda index: torch.rand(3, 16, 24),
            other_size=lambda index: torch.zeros(3, 8, 12, dtype=torch.uint8),
            channels_last=lambda index: np.zeros((16, 24, 3), dtype=np.uint8),
        ),
    ),
    patches=flags(valid=True),
)


call(
    "protoxai.attribution",
    "ExamplePrototypes",
    A.ExamplePrototypes,
    model=objects(v.model).but("module"),
    loader=BATCHES.also(empty=[]),
    table=TABLE,
    seed=SEED,
    ignore_index=VOID,
)
call(
    "protoxai.attribution",
    "ExamplePrototypes.forward",
    method(lambda: A.ExamplePrototypes(v.model(), [v.batch()], v.table()), "forward"),
    images=tensors(v.images, fixed=(1,)),
)


def projected() -> P.ScaleProtoSeg:
    model = v.small_model(3)
    R.project_prototypes(model, [v.batch()])
    return model


call(
    "protoxai.projection",
    "prune_prototypes",
    R.prune_prototypes,
    model=objects(projected, unlike=v.Unlike(), grouped=v.grouped(), fresh=v.small_model(3)),
    batches=BATCHES.also(empty=[]),
    nearest=wholes(6, least=3),
    least=wholes(1, most=6),
    ignore_index=VOID,
)
call(
    "protoxai.projection",
    "initialise_prototypes",
    R.initialise_prototypes,
    model=STAGE_1.but("grouped"),
    loader=BATCHES.but("far_labels").also(empty=[]),
    images=wholes(2),
    noise=numbers(0.01, least=0),
    seed=SEED,
)
call(
    "protoxai.projection",
    "refit_last_layer",
    R.refit_last_layer,
    model=objects(lambda: v.small_model(3), unlike=v.Unlike()),
    loader=BATCHES.also(empty=[]),
    off_class_l1=numbers(1, least=0),
    class_weight=CLASS_WEIGHT.but("array"),
    ignore_index=VOID,
    cells=wholes(20),
    seed=SEED,
)
call(
    "protoxai.evaluation",
    "evaluate",
    E.evaluate,
    model=MODEL,
    loader=BATCHES.also(empty=[]),
    ignore_index=VOID,
    logits_of=functions(lambda x: v.random(2, 3, 4, 6)).but("none"),
    on_batch=functions(lambda *_: None).but("none"),
    group_of=functions(lambda index: index).but("none"),
)
call(
    "protoxai.evaluation",
    "sliding_logits",
    E.sliding_logits,
    model=MODEL,
    images=tensors(v.images, fixed=(1,)),
    window=pairs((16, 16)),
    stride=pairs((8, 8), large=(99, 8)),
)
METHODS = Domain(
    lambda: ["Saliency"],
    constants(text="Saliency", number=3, unknown=["unknown"], numbers=[3], empty=[]),
)
call(
    "protoxai.comparison",
    "explainers_of",
    C.explainers_of,
    models=Domain(
        lambda: [v.model()],
        constants(
            none=None,
            number=3,
            text="text",
            numbers=[3],
            model=v.model(),
            empty=[],
        ),
    ),
    methods=METHODS,
    references=flags(True),
)
SAMPLES = Domain(
    lambda: list(v.Samples()),
    constants(
        none=None,
        number=3,
        numbers=[3],
        text="text",
        no_labels=[{"image": v.images()[0]}],
        no_images=[{"labels": v.labels(4, 6)}],
        array_labels=[{"image": v.images()[0], "labels": np.zeros((4, 6))}],
        float_labels=[{"image": v.images()[0], "labels": torch.ones(4, 6)}],
    ),
)
call(
    "protoxai.comparison",
    "select_tasks",
    C.select_tasks,
    samples=SAMPLES,
    tasks=wholes(1).but("none"),
    ignore_index=wholes(255, least=None),
    group_of=functions(int).but("none"),
    seed=SEED,
    skip=Domain(
        lambda: [0], constants(none=None, number=3, text="a", words=["a"], fractions=[0.5])
    ),
)
EXPLAINERS = Domain(
    lambda: [v.explainer()],
    constants(
        none=None,
        number=3,
        numbers=[3],
        text="text",
        empty=[],
        models=[v.model()],
        one=v.explainer(),
    ),
)
TASKS = Domain(
    lambda: [v.task()],
    constants(
        none=None,
        number=3,
        numbers=[3],
        text="text",
        empty=[],
        twice=[v.task()] * 2,
        one=v.task(),
    ),
)
call(
    "protoxai.comparison",
    "compare",
    lambda **k: C.compare(**{"log": str, **k}),
    explainers=EXPLAINERS,
    tasks=TASKS,
    metrics=Domain(
        lambda: ["sparseness"],
        constants(number=3, text="sparseness", unknown=["unknown"], numbers=[3], empty=[]),
    ),
    budget=numbers(10, above=0).but("none"),
    seed=SEED,
    log=functions(str),
    output=Domain(constant(None), constants(number=3, list=["a"], tensor=torch.zeros(2))),
)
call(
    "protoxai.comparison",
    "maps_figure",
    C.maps_figure,
    explainers=EXPLAINERS,
    tasks=TASKS.but("twice"),
)
call(
    "protoxai.comparison",
    "mean_over_seeds",
    C.mean_over_seeds,
    comparisons=Domain(
        lambda: [C.Comparison(())],
        constants(none=None, number=3, numbers=[3], text="text", empty=[], one=C.Comparison(())),
    ),
)
