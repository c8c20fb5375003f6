"""Valid calls of the explainers."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import nn

from protoxai import attribution as A
from tests.misuse import values as v
from tests.misuse.call import call, method
from tests.misuse.domains import (
    Domain,
    constant,
    constants,
    functions,
    numbers,
    objects,
    pairs,
    tensors,
    wholes,
    words,
)
from tests.misuse.shared import CLASS, GROUPS, HEAD, MODEL, SEED

REGION = tensors(lambda: torch.ones(2, *v.SIZE, dtype=torch.bool), fixed=(0, 1, 2))
CLASSES = tensors(lambda: torch.tensor([1, 2]), fixed=(0,)).also(
    far=torch.tensor([0, 9]), negative=torch.tensor([-1, 0])
)
TASK_IMAGES = tensors(v.images, fixed=(0, 1, 2, 3)).also(picture=Image.new("RGB", (24, 16)))
call(
    "protoxai.attribution",
    "PrototypeAttribution",
    A.PrototypeAttribution,
    model=MODEL,
    units=words("groups"),
    to=words("pixels"),
    method=words("Saliency").but("none"),
)
call(
    "protoxai.attribution",
    "PrototypeAttribution()",
    lambda **k: v.explainer()(**k),
    images=TASK_IMAGES,
    region=REGION,
    class_index=CLASSES,
)
call(
    "protoxai.attribution",
    "SegmentationTarget",
    A.SegmentationTarget,
    model=objects(v.model).but("module"),
    reduction=words("mean"),
    output=words("logits"),
)
call(
    "protoxai.attribution",
    "SegmentationTarget.forward",
    method(lambda: A.SegmentationTarget(v.model()), "forward"),
    images=TASK_IMAGES,
    region=REGION,
    class_index=CLASSES,
)
call(
    "protoxai.attribution",
    "PrototypeTarget",
    A.PrototypeTarget,
    model=MODEL,
    prototype=wholes(3, least=0).also(far=99),
    reduction=words("peak"),
)
call(
    "protoxai.attribution",
    "PrototypeTarget.forward",
    method(lambda: A.PrototypeTarget(v.model(), 0), "forward"),
    images=TASK_IMAGES,
    region=REGION,
)
call(
    "protoxai.attribution",
    "ReferenceMap",
    A.ReferenceMap,
    name=words("edges"),
    model=objects(v.model).but("module"),
    seed=SEED,
)
call(
    "protoxai.attribution",
    "ReferenceMap()",
    lambda **k: A.ReferenceMap("logit_map", v.model())(**k),
    images=TASK_IMAGES,
    region=REGION,
    class_index=CLASSES,
)
call(
    "protoxai.attribution",
    "CaptumAttribution",
    lambda **k: A.CaptumAttribution(**k),
    name=words("KernelShap"),
    model=objects(v.model).but("module"),
    seed=SEED,
    segments=wholes(32),
)
call(
    "protoxai.attribution",
    "CaptumAttribution layer",
    lambda **k: A.CaptumAttribution("LayerGradCam", v.model(), **k),
    layer=Domain(
        constant("backbone"),
        constants(
            unknown="layer9", number=3, list=["backbone"], foreign=nn.Identity(), array=np.zeros(2)
        ),
    ),
)
call(
    "protoxai.attribution",
    "CaptumAttribution()",
    lambda **k: A.CaptumAttribution("Saliency", v.model())(**k),
    images=TASK_IMAGES,
    region=REGION,
    class_index=CLASSES,
)
call(
    "protoxai.attribution",
    "CamAttribution",
    A.CamAttribution,
    name=words("Seg-XRes-CAM"),
    model=objects(v.model).but("module"),
    window=wholes(4),
)
call(
    "protoxai.attribution",
    "CamAttribution()",
    lambda **k: A.CamAttribution("HiResCAM", v.model())(**k),
    images=TASK_IMAGES,
    region=REGION,
    class_index=CLASSES,
)
call(
    "protoxai.attribution",
    "RISE",
    A.RISE,
    model=objects(v.model).but("module"),
    masks=wholes(10),
    cells=wholes(7),
    probability=numbers(0.5, above=0, below=1),
    seed=SEED,
)
call(
    "protoxai.attribution",
    "RISE()",
    lambda **k: A.RISE(v.model(), masks=2)(**k),
    images=TASK_IMAGES,
    region=REGION,
    class_index=CLASSES,
)
for make, out in ((v.head, v.output), (v.groups, v.grouped_output)):
    for function in (A.unit_evidence, A.prototype_evidence):
        call(
            "protoxai.attribution",
            function.__name__,
            function,
            head=HEAD if make is v.head else objects(make, table=v.table()),
            output=objects(out),
            class_index=CLASS,
        )
call("protoxai.attribution", "baseline_logit", A.baseline_logit, head=HEAD)
call(
    "protoxai.attribution",
    "member_evidence",
    A.member_evidence,
    head=GROUPS,
    output=objects(lambda: v.grouped()(v.images()[:1])),
    class_index=CLASS,
    weights=tensors(lambda: v.random(4, 6), fixed=(0, 1)),
)
call(
    "protoxai.attribution",
    "region_weights",
    A.region_weights,
    region=tensors(lambda: torch.ones(*v.SIZE, dtype=torch.bool)).but("more_dimensions"),
    grid=pairs((4, 6)),
)
call("protoxai.attribution", "explainer_named", A.explainer_named, name=words("Saliency"))
call(
    "protoxai.attribution",
    "register_explainer",
    A.register_explainer,
    name=words("mine").but("unknown", "empty"),
    applies_to=functions(lambda model: True),
)
call(
    "protoxai.attribution",
    "attribution_figure",
    A.attribution_figure,
    explainers=Domain(
        lambda: [A.PrototypeAttribution(v.model())],
        constants(none=None, text="text", number=3, nothing=[], words=["groups"]),
    ),
    image=tensors(lambda: v.images()[0], fixed=(0,), finite=False).but("more_dimensions"),
    class_index=CLASS.but("none"),
    region=tensors(lambda: torch.ones(v.SIZE, dtype=torch.bool), fixed=(0, 1)).but("none"),
    width=numbers(3.4, least=1, most=40),
)
