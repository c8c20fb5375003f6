"""Valid calls of the metrics of explanations that ask the model again."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from protoxai import metrics as M
from tests.misuse import values as v
from tests.misuse.call import call, method
from tests.misuse.domains import (
    Domain,
    constant,
    constants,
    flags,
    functions,
    numbers,
    objects,
    tensors,
    wholes,
)
from tests.misuse.shared import INDEX, MAPS, OPTIONS, SEED, SEEDS

SCORE = functions(v.score).also(wrong_shape=lambda x: x.sum(), wrong_type=lambda x: 1.0)
EXPLAIN = functions(v.channel_sum).also(wrong_shape=lambda x: x.sum(), wrong_type=lambda x: None)
ARGUMENTS = Domain(
    tuple, constants(none=None, number=3, text="text", numbers=(1, 2), few=(torch.ones(1),))
)
IMAGE = tensors(lambda: v.images()[0]).but("more_dimensions")
OWN_MAP = tensors(lambda: v.random(*v.SIZE), fixed=(0, 1), real=True).but("more_dimensions")
ONE_INDEX = Domain(
    constant(3), constants(text="a", fraction=0.5, many=[1, 2], object=object(), flag=True)
)
STEPS = wholes(2)
FILL = Domain(lambda: "blur", constants(none=None, number=1, unknown="blue", list=["blur"]))
OWN_MASK = tensors(lambda: v.random(*v.SIZE) > 0.5, fixed=(0, 1)).but("more_dimensions")
call(
    "protoxai.metrics",
    "part_drops",
    M.part_drops,
    logits=EXPLAIN,
    image=IMAGE,
    without=Domain(
        lambda: list(v.images()),
        constants(
            none=None, number=3, text="text", texts=["a"], mapping={"a": 1}, smaller=[v.maps()]
        ),
    ),
    region=OWN_MASK,
)
PARTS = {
    "attribution": OWN_MAP,
    "parts": tensors(lambda: v.random(4, *v.SIZE) > 0.5, fixed=(0, 1, 2)),
    "drops": tensors(lambda: v.random(4), fixed=(0,), real=True),
}
call("protoxai.metrics", "part_intervention", M.part_intervention, **PARTS, per_pixel=flags())
call(
    "protoxai.metrics",
    "PartIntervention.update",
    method(M.PartIntervention),
    **PARTS,
    index=ONE_INDEX,
)
for function in (M.faithfulness, M.deletion_insertion, M.perturbation_curves):
    call(
        "protoxai.metrics",
        function.__name__,
        function,
        score=SCORE,
        image=IMAGE,
        attribution=OWN_MAP,
        steps=STEPS,
        fill=FILL,
        patch=wholes(2),
        keep=OWN_MASK.but("none"),
        seed=SEED,
        batch_size=wholes(8),
    )
call(
    "protoxai.metrics",
    "patch_faithfulness",
    M.patch_faithfulness,
    score=SCORE,
    image=IMAGE,
    attribution=OWN_MAP,
    steps=STEPS,
    fill=FILL,
    seed=SEED,
    batch_size=wholes(8),
)
for kind in (M.Faithfulness, M.PatchFaithfulness, M.DeletionInsertion):
    call(
        "protoxai.metrics",
        kind.__name__,
        kind,
        steps=STEPS,
        fill=FILL,
        batch_size=wholes(8),
        **OPTIONS,
    )
call(
    "protoxai.metrics",
    "DeletionInsertion.update",
    method(lambda: M.DeletionInsertion(2)),
    score=SCORE,
    image=IMAGE,
    attribution=OWN_MAP,
    index=ONE_INDEX,
)
call(
    "protoxai.metrics",
    "perturbation_agreement",
    M.perturbation_agreement,
    score=SCORE,
    image=IMAGE,
    attribution=OWN_MAP,
    draws=wholes(2),
    fill=FILL,
    seed=SEED,
    batch_size=wholes(8),
)
call(
    "protoxai.metrics",
    "PerturbationAgreement",
    M.PerturbationAgreement,
    draws=wholes(2),
    fill=FILL,
    batch_size=wholes(8),
    **OPTIONS,
)
call(
    "protoxai.metrics",
    "PerturbationAgreement.update",
    method(lambda: M.PerturbationAgreement(2)),
    score=SCORE,
    image=IMAGE,
    attribution=OWN_MAP,
    index=ONE_INDEX,
)
call(
    "protoxai.metrics",
    "target_sensitivity",
    M.target_sensitivity,
    attribution=MAPS,
    other=MAPS,
)
call("protoxai.metrics", "TargetSensitivity", M.TargetSensitivity, **OPTIONS)
call(
    "protoxai.metrics",
    "TargetSensitivity.update",
    method(M.TargetSensitivity),
    attribution=MAPS,
    other=MAPS,
    index=INDEX,
)
for kind in (M.Faithfulness, M.PatchFaithfulness):
    call(
        "protoxai.metrics",
        f"{kind.__name__}.update",
        method(partial(kind, 2)),
        score=SCORE,
        image=IMAGE,
        attribution=OWN_MAP,
        region=OWN_MASK,
        index=ONE_INDEX,
    )
NORMALISED = tensors(v.images)
IMAGE_MAPS = tensors(lambda: v.random(2, *v.SIZE), fixed=(0, 1, 2), real=True)
call(
    "protoxai.metrics",
    "infidelity",
    M.infidelity,
    score=SCORE,
    images=NORMALISED,
    attribution=IMAGE_MAPS,
    arguments=ARGUMENTS,
    samples=wholes(2),
    seeds=SEEDS,
    batch_size=wholes(2),
)
call(
    "protoxai.metrics",
    "Infidelity",
    M.Infidelity,
    samples=wholes(2),
    batch_size=wholes(2),
    **OPTIONS,
)
call(
    "protoxai.metrics",
    "Infidelity.update",
    method(lambda: M.Infidelity(2)),
    score=SCORE,
    images=NORMALISED,
    attribution=IMAGE_MAPS,
    arguments=ARGUMENTS,
    index=INDEX,
)
ORIGINAL = IMAGE_MAPS.but("none")
call(
    "protoxai.metrics",
    "max_sensitivity",
    M.max_sensitivity,
    explain=EXPLAIN,
    images=NORMALISED,
    arguments=ARGUMENTS,
    original=ORIGINAL,
    radius=numbers(0.02, least=0),
    samples=wholes(2),
    seeds=SEEDS,
    batch_size=wholes(2),
)
call(
    "protoxai.metrics",
    "MaxSensitivity",
    M.MaxSensitivity,
    radius=numbers(0.02, least=0),
    samples=wholes(2),
    batch_size=wholes(2),
    **OPTIONS,
)
call(
    "protoxai.metrics",
    "MaxSensitivity.update",
    method(lambda: M.MaxSensitivity(samples=2)),
    explain=EXPLAIN,
    images=NORMALISED,
    arguments=ARGUMENTS,
    original=ORIGINAL,
    index=INDEX,
)
ANY_MODEL = objects(lambda: nn.Conv2d(3, 1, 1)).but("module").also(empty=nn.Identity())
LAYERS = Domain(
    lambda: [["0"]],
    constants(text="0", number=3, unknown=[["layer9"]], numbers=[[3]], empty=[], words=["0"]),
)
call(
    "protoxai.metrics",
    "randomisation_layers",
    M.randomisation_layers,
    model=ANY_MODEL,
    steps=wholes(1).but("none"),
)
SEQUENTIAL = objects(lambda: nn.Sequential(nn.Conv2d(3, 1, 1))).but("module")
call(
    "protoxai.metrics",
    "parameter_randomisation",
    M.parameter_randomisation,
    model=SEQUENTIAL,
    explain=EXPLAIN,
    images=NORMALISED,
    arguments=ARGUMENTS,
    original=ORIGINAL,
    layers=LAYERS,
    seed=SEED,
)
call(
    "protoxai.metrics",
    "ParameterRandomisation",
    M.ParameterRandomisation,
    layers=LAYERS.but("unknown"),
    **OPTIONS,
)
call(
    "protoxai.metrics",
    "ParameterRandomisation.update",
    method(lambda: M.ParameterRandomisation([["0"]])),
    model=SEQUENTIAL,
    explain=EXPLAIN,
    images=NORMALISED,
    arguments=ARGUMENTS,
    original=ORIGINAL,
    index=INDEX,
)
