"""Valid calls of the metrics of maps, which need no model."""

from __future__ import annotations

import torch

from protoxai import metrics as M
from tests.misuse import values as v
from tests.misuse.call import call, method
from tests.misuse.domains import (
    numbers,
    objects,
    tensors,
    wholes,
)
from tests.misuse.shared import INDEX, MAPS, OPTIONS

MAPS_ALONE = tensors(v.maps, real=True)
MASK = tensors(v.mask, fixed=(0, 1, 2))
VALUES = tensors(v.maps, rank=False, real=True)
ROWS = tensors(lambda: v.random(2, 5), real=True)
call("protoxai.metrics", "gini", M.gini, values=VALUES)
call("protoxai.metrics", "complexity", M.complexity, values=VALUES)
call("protoxai.metrics", "effective_number", M.effective_number, values=VALUES)
call("protoxai.metrics", "sparseness", M.sparseness, attribution=MAPS_ALONE)
for function in (M.pointing_game, M.relevance_mass):
    call("protoxai.metrics", function.__name__, function, attribution=MAPS, mask=MASK)
SPECTRUM = tensors(lambda: v.random(2, 16, 16), real=True)
call(
    "protoxai.metrics",
    "scale_spectrum",
    M.scale_spectrum,
    attribution=SPECTRUM,
    bands=wholes(3, least=2, most=5),
)
call(
    "protoxai.metrics",
    "active_units",
    M.active_units,
    evidence=tensors(lambda: v.random(2, 5), rank=False, real=True),
    share=numbers(0.9, above=0, most=1),
)
for kind, argument, domain in (
    (M.Gini, "values", VALUES),
    (M.Complexity, "attribution", MAPS_ALONE),
    (M.EffectiveNumber, "values", VALUES),
    (M.Sparseness, "attribution", MAPS_ALONE),
    (M.ActiveUnits, "evidence", ROWS),
):
    call(
        "protoxai.metrics",
        f"{kind.__name__}.update",
        method(kind),
        **{argument: domain},
        index=INDEX,
    )
for kind in (M.PointingGame, M.RelevanceMass):
    call(
        "protoxai.metrics",
        f"{kind.__name__}.update",
        method(kind),
        attribution=MAPS,
        mask=MASK,
        index=INDEX,
    )
LABELS_ALONE = tensors(v.labels, fixed=(0, 1, 2))
OWN_CLASS = tensors(lambda: torch.tensor([1, 2]), fixed=(0,))
BACKGROUND, IGNORED = wholes(0, least=None).but("none"), wholes(255, least=None)
call(
    "protoxai.metrics",
    "off_target_leakage",
    M.off_target_leakage,
    attribution=tensors(lambda: v.random(*v.labels().shape), fixed=(0, 1, 2), real=True),
    labels=LABELS_ALONE,
    class_index=OWN_CLASS,
    background=BACKGROUND,
    ignore_index=IGNORED,
)
call(
    "protoxai.metrics",
    "OffTargetLeakage",
    M.OffTargetLeakage,
    background=BACKGROUND,
    ignore_index=IGNORED,
    **OPTIONS,
)
call(
    "protoxai.metrics",
    "OffTargetLeakage.update",
    method(M.OffTargetLeakage),
    attribution=tensors(lambda: v.random(*v.labels().shape), fixed=(0, 1, 2), real=True),
    labels=LABELS_ALONE,
    class_index=OWN_CLASS,
    index=INDEX,
)
call("protoxai.metrics", "ScaleSpectrum", M.ScaleSpectrum, bands=wholes(3, least=2), **OPTIONS)
call(
    "protoxai.metrics",
    "ScaleSpectrum.update",
    method(lambda: M.ScaleSpectrum(3)),
    attribution=SPECTRUM,
    index=INDEX,
)
call(
    "protoxai.metrics", "ActiveUnits", M.ActiveUnits, share=numbers(0.9, above=0, most=1), **OPTIONS
)
for kind in (
    M.Gini,
    M.Complexity,
    M.EffectiveNumber,
    M.Sparseness,
    M.PointingGame,
    M.RelevanceMass,
    M.ExplanationCost,
    M.PartIntervention,
):
    call("protoxai.metrics", kind.__name__, kind, **OPTIONS)
COST = objects(v.cost)
call("protoxai.metrics", "explanation_cost", M.explanation_cost, cost=COST, images=wholes(1))
call(
    "protoxai.metrics",
    "ExplanationCost.update",
    method(M.ExplanationCost),
    cost=COST,
    index=INDEX.but("few", "many"),
)
