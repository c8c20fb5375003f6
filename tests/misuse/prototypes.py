"""Valid calls of heads, tables, layers, scales and models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import protoxai as P
from protoxai import model as models
from protoxai.prototypes import Patch
from tests.misuse import values as v
from tests.misuse.call import call, method
from tests.misuse.domains import (
    INF,
    NAN,
    Domain,
    constants,
    flags,
    numbers,
    objects,
    tensors,
    wholes,
    words,
)
from tests.misuse.shared import FOLDER_SIZE, TABLE

WEIGHT = numbers(-0.5)
LAST = words("dense")
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
CLASS = wholes(1, least=0, most=2)
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
SHARE = numbers(0.05, least=0, below=1)
call("protoxai", "SparseGroupHead.threshold_", method(v.groups, "threshold_"), threshold=SHARE)
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
EPSILON = numbers(1e-4, above=0, below=1)
call(
    "protoxai",
    "MultiScalePrototypeLayer",
    P.MultiScalePrototypeLayer,
    table=TABLE,
    dim=wholes(4),
    epsilon=EPSILON,
    bounded=flags(),
)


def layer() -> P.MultiScalePrototypeLayer:
    return P.MultiScalePrototypeLayer(v.table(), v.DIM)


EMBEDDING = tensors(v.embedding, fixed=(1, 2), meta=True)
call("protoxai", "MultiScalePrototypeLayer.forward", method(layer, "forward"), embedding=EMBEDDING)
call("protoxai", "MultiScalePrototypeLayer.keep", method(layer, "keep"), indices=KEPT)
call(
    "protoxai",
    "MultiScalePrototypeLayer.activation",
    method(layer, "activation"),
    distances=tensors(v.activations, rank=False, meta=True),
)
RATES = Domain(
    lambda: (1, 2),
    constants(
        none=None,
        number=3,
        text="12",
        zero=(0, 1),
        fractions=(1.5,),
        empty=(),
        words=("a",),
        nan=(NAN,),
        infinite=(INF,),
        nested=((1, 2),),
        complex=(1j,),
        flags=(True,),
    ),
)
GAIN = numbers(0.2, above=0).but("none")
call(
    "protoxai",
    "AtrousScales",
    P.AtrousScales,
    in_channels=wholes(8),
    dim=wholes(4),
    rates=RATES,
    summed=flags(),
    init_gain=GAIN,
)
CHANNELS = RATES.also(mapping={})
call(
    "protoxai",
    "PyramidScales",
    P.PyramidScales,
    in_channels=CHANNELS,
    dim=wholes(4),
    init_gain=GAIN,
)
FEATURES = constants(
    none=None,
    tensor=v.random(2, 8, 5, 6),
    empty=[],
    text="text",
    mapping={},
    numbers=[1.0],
    swapped=[v.random(2, 5, 8, 6)],
    flat=[v.random(8, 6)],
    complex=[v.random(2, 8, 5, 6) * 1j],
    integers=[torch.ones(2, 8, 5, 6, dtype=torch.long)],
    array=[np.ones((2, 8, 5, 6))],
)
call(
    "protoxai",
    "AtrousScales.forward",
    method(lambda: P.AtrousScales(8, 4, (1, 2)), "forward"),
    features=Domain(lambda: [v.random(2, 8, 5, 6)], FEATURES),
)
call(
    "protoxai",
    "PyramidScales.forward",
    method(lambda: P.PyramidScales((8, 4), 4), "forward"),
    features=Domain(lambda: [v.random(2, 8, 5, 6), v.random(2, 4, 3, 3)], FEATURES),
)
IMAGES = tensors(v.images, fixed=(1,), meta=True).also(picture=Image.new("RGB", (24, 16)))
# Images of any kind are predicted, and single ones.
ANY_IMAGE = IMAGES.but("fewer_dimensions", "picture").also(
    no_file="image.png",
    path=Path("image.png"),
    deep=Image.new("I;16", (24, 16)),
    transparent=Image.new("RGBA", (24, 16)),
    floats=np.zeros((16, 24, 3)),
    grey=np.zeros((16, 24), dtype=np.uint8),
    channels_first=np.zeros((3, 16, 24), dtype=np.uint8),
    bytes_of_four=torch.zeros(4, 16, 24, dtype=torch.uint8),
    channels_last=torch.zeros(16, 24, 3, dtype=torch.uint8),
)
for kind in (v.model, v.grouped):
    for name in ("forward", "logits", "embed"):
        call("protoxai", f"ScaleProtoSeg.{name}", method(kind, name), images=IMAGES)
    call("protoxai", "ScaleProtoSeg.predict", method(kind, "predict"), images=ANY_IMAGE)
# Normalised tensors stay as they are, however many channels the model takes.
call(
    "protoxai",
    "ScaleProtoSeg.preprocess",
    method(v.model, "preprocess"),
    image=ANY_IMAGE.but("longer_1", "shorter_1"),
)
call(
    "protoxai",
    "ScaleProtoSeg.forward_embedding",
    method(v.model, "forward_embedding"),
    embedding=EMBEDDING,
)
call(
    "protoxai",
    "ScaleProtoSeg.group",
    lambda num_groups: v.small_model(3).group(num_groups),
    num_groups=wholes(2),
)
call(
    "protoxai",
    "ScaleProtoSeg.keep_prototypes",
    lambda indices: v.small_model(3).keep_prototypes(indices),
    indices=KEPT,
)
TRUNK = objects(lambda: nn.Conv2d(3, 8, 3, stride=8)).but("module")
for kind in (P.ScaleProtoSeg, P.LinearSegmenter):
    call(
        "protoxai",
        kind.__name__,
        kind,
        backbone=TRUNK,
        num_classes=wholes(3),
        scales=words("atrous"),
        output_stride=wholes(8),
        atrous_rates=RATES,
        init_gain=GAIN,
        freeze_batchnorm=flags(),
        input_scales=Domain(
            lambda: (0.5,),
            constants(
                text="a",
                number=3,
                zero=(0,),
                one=(1,),
                nan=(NAN,),
                words=("a",),
                infinite=(INF,),
                complex=(1j,),
            ),
        ),
        class_names=Domain(
            lambda: ["a", "b", "c"],
            constants(text="abc", number=3, few=["a"], numbers=[1, 2, 3], mapping={}),
        ),
    )
call(
    "protoxai",
    "ScaleProtoSeg options",
    lambda **options: P.ScaleProtoSeg(nn.Conv2d(3, 8, 3, stride=8), 3, **options),
    prototypes_per_scale=wholes(2),
    prototype_dim=wholes(4),
    epsilon=EPSILON,
    bounded_prototypes=flags(),
    off_class=WEIGHT,
    last_layer=LAST,
    table=objects(
        lambda: P.PrototypeTable.regular(3, 4, 2), other=P.PrototypeTable.regular(2, 4, 2)
    ).but("none"),
)
call(
    "protoxai.model",
    "predicted_labels",
    models.predicted_labels,
    logits=tensors(lambda: v.random(2, 3, 4, 6), real=False),
    size=FOLDER_SIZE,
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
