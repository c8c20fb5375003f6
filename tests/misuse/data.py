"""Valid calls of the data sets and their transforms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from protoxai import data as D
from tests.misuse import values as v
from tests.misuse.call import call, method
from tests.misuse.domains import (
    INF,
    NAN,
    Domain,
    constant,
    constants,
    flags,
    functions,
    labels,
    numbers,
    objects,
    pairs,
    wholes,
    words,
)
from tests.misuse.shared import SEED

PAIR = pairs((16, 24), fraction=(8.5, 8))
COLOURS = Domain(
    lambda: (0.5, 0.5, 0.5),
    constants(
        none=None,
        number=0.5,
        text="abc",
        few=(0.5,),
        words=("a",) * 3,
        nan=(NAN,) * 3,
        infinite=(INF,) * 3,
        mapping={},
        complex=(1j,) * 3,
        nested=((0.5,),) * 3,
    ),
)
STD = COLOURS.also(zero=(0, 0.5, 0.5), negative=(-1, 0.5, 0.5))
SIZES = PAIR.also(number=3, none=None, array=np.array([8.5, 8]))
CHANCE = numbers(0.5, least=0, most=1)
call(
    "protoxai.data",
    "training_transform",
    D.training_transform,
    size=SIZES,
    mean=COLOURS,
    std=STD,
    scale=Domain(
        lambda: (0.5, 1.5),
        constants(
            none=None,
            number=1.0,
            text="ab",
            few=(1.0,),
            zero=(0, 1),
            swapped=(2, 1),
            nan=(NAN, 1),
            infinite=(1, INF),
            words=("a", "b"),
            complex=(1, 1j),
            three=(1, 1, 1),
        ),
    ),
    flip=CHANCE,
    color_jitter=CHANCE,
    ignore_index=wholes(255, least=None),
    relative_to=words("image"),
    log_uniform=flags(),
    antialias=flags(),
)
call(
    "protoxai.data",
    "evaluation_transform",
    D.evaluation_transform,
    size=SIZES.but("none", "number").also(zero=0, fraction=8.5, nan=NAN, flag=True),
    mean=COLOURS,
    std=STD,
    antialias=flags(),
)


def transformed(**changes: Any) -> Any:
    transform = D.evaluation_transform(None, mean=(0.5,) * 3, std=(0.5,) * 3)
    return transform(*{"image": torch.zeros(3, 4, 6).byte(), "masks": {}, **changes}.values())


call(
    "protoxai.data",
    "evaluation_transform()",
    transformed,
    image=Domain(
        lambda: torch.zeros(3, 4, 6).byte(),
        constants(
            none=None,
            array=np.zeros((3, 4, 6)),
            wide=torch.zeros(3, 4, 6).long(),
            grey=torch.zeros(1, 4, 6).byte(),
            complex=torch.zeros(3, 4, 6) * 1j,
        ),
    ),
)
call(
    "protoxai.data",
    "Shapes",
    D.Shapes,
    size=Domain(
        constant(32),
        constants(
            none=None,
            text="32",
            small=8,
            fraction=32.5,
            nan=NAN,
            pair=(32, 8),
            three=(32, 32, 32),
            words=("a", "b"),
            flag=True,
            infinite=INF,
        ),
    ),
    length=wholes(3),
    seed=SEED,
    split=words("train"),
    transform=functions(lambda image, masks: (image, masks)).but("none"),
    objects=Domain(
        lambda: (1, 2),
        constants(
            none=None,
            number=3,
            text="12",
            one=(1,),
            swapped=(2, 1),
            negative=(-1, 2),
            fraction=(0.5, 2),
            nan=(NAN, 2),
            words=("a", "b"),
        ),
    ),
)
POSITION = Domain(constant(0), constants(none=None, text="a", fraction=0.5, list=[0], nan=NAN))
call(
    "protoxai.data",
    "Shapes.__getitem__",
    method(lambda: D.Shapes(32, 3), "__getitem__"),
    index=POSITION,
)
call(
    "protoxai.data",
    "Shapes.visible_parts",
    method(lambda: D.Shapes(32, 3), "visible_parts"),
    index=POSITION,
)
call(
    "protoxai.data",
    "Shapes.raw_without",
    method(lambda: D.Shapes(32, 3), "raw_without"),
    index=POSITION,
    removed=Domain(
        lambda: D.Shapes(32, 3).visible_parts(0)[0],
        constants(none=None, number=3, text="ab", one=(1,), three=(0, 1, 1), absent=(99, 1)),
    ),
)
call(
    "protoxai.data",
    "Shapes.without_parts",
    method(lambda: D.Shapes(32, 3), "without_parts"),
    index=POSITION,
    class_index=wholes(1, least=0),
)
DATA = objects(v.Samples)
call(
    "protoxai.data",
    "class_frequencies",
    D.class_frequencies,
    dataset=DATA.also(subset=torch.utils.data.Subset(v.Samples(), [0])),
    limit=wholes(1).but("none"),
)
call(
    "protoxai.data",
    "collate",
    D.collate,
    samples=Domain(
        lambda: list(v.Samples()),
        constants(
            none=None,
            number=3,
            empty=[],
            numbers=[1],
            text="text",
            tensors=[v.images()],
            no_labels=[{"image": v.images()[0], "id": "a"}],
            array=[{"image": np.zeros((3, 4, 6)), "labels": np.zeros((4, 6)), "id": "a"}],
        ),
    ),
)
call("protoxai.data", "create_dataset", D.create_dataset, name=words("shapes"))
call("protoxai.data", "register", D.register, name=words("mine").but("unknown", "empty"))
call(
    "protoxai.data",
    "register()",
    lambda kind: D.register("shapes")(kind),
    kind=objects(lambda: D.Shapes),
)


def sample(**changes: Any) -> tuple[Any, Any]:
    return tuple(
        {"image": torch.zeros(3, 4, 6).byte(), "labels": v.labels(4, 6), **changes}.values()
    )


def first_of(items: Any) -> Any:
    return D.MappedDataset(items, ["a", "b", "c"]).raw(0)


call(
    "protoxai.data",
    "MappedDataset",
    first_of,
    items=Domain(
        lambda: [sample()],
        constants(
            none=None,
            number=3,
            text="text",
            mapping={"image": 1},
            numbers=[1],
            none_inside=[None],
            three=[(*sample(), 1)],
            keys=[{"image": sample()[0]}],
        ),
    ),
)
call(
    "protoxai.data",
    "MappedDataset.raw",
    lambda **changes: first_of([sample(**changes)]),
    image=Domain(
        lambda: torch.zeros(3, 4, 6).byte(),
        constants(
            none=None,
            text="text",
            grey=torch.zeros(1, 4, 6).byte(),
            floats=torch.zeros(3, 4, 6),
            high=torch.zeros(3, 8, 6).byte(),
            complex=torch.zeros(3, 4, 6) * 1j,
        ),
    ),
    labels=labels(lambda: v.labels(4, 6), 3, fixed=(0, 1)).but("array"),
)
call(
    "protoxai.data",
    "StreamedItems",
    D.StreamedItems,
    dataset=objects(lambda: SimpleNamespace(region_of_interest=[(0, 1)])),
)


def samples_of(**options: Any) -> Any:
    class Samples(D.SegmentationDataset):
        def __len__(self) -> int:
            return 0

        def raw(self, index: int) -> Any:
            raise IndexError(index)

    return Samples(**options)


call(
    "protoxai.data",
    "SegmentationDataset",
    samples_of,
    class_names=Domain(
        lambda: ["a", "b"],
        constants(none=None, text="ab", number=3, numbers=[1, 2], empty=[], twice=["a", "a"]),
    ),
    palette=Domain(
        lambda: [(0, 0, 0), (1, 1, 1)],
        constants(
            number=3,
            few=[(0, 0, 0)],
            words=["a", "b"],
            far=[(0, 0, 999)] * 2,
            text="ab",
            pairs=[(0, 0)] * 2,
            fractions=[(0.5, 0, 0)] * 2,
        ),
    ),
    ignore_index=wholes(255, least=None).also(a_class=1),
    transform=functions(lambda image, masks: (image, masks)).but("none"),
)
call(
    "protoxai.data",
    "SegmentationDataset.encode_prediction",
    method(v.Samples, "encode_prediction"),
    labels=labels(lambda: v.labels(4, 6), 3),
)
