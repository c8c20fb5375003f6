"""Valid calls of scales and models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import protoxai as P
from protoxai import model as models
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
from tests.misuse.shared import EMBEDDING, EPSILON, FOLDER_SIZE, KEPT, LAST, WEIGHT

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
