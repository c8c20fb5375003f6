"""No public function takes an argument outside of its domain in silence; few refuse it obscurely.

Every call of :mod:`tests.misuse` is valid. One argument at a time is replaced by values known to be
outside of its domain, and the outcome is "clear" (a ``ValueError`` or ``TypeError`` of the library
that names the argument or the value), "obscure" (any other error) or "returned".
"""

from __future__ import annotations

import importlib
import random
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import protoxai
from tests.misuse import (  # noqa: F401
    attribution,
    data,
    editing,
    evaluation,
    explanation_metrics,
    explanations,
    heads,
    losses,
    model_metrics,
    models,
    perturbation_metrics,
    prototypes,
    reports,
)
from tests.misuse.call import CALLS, Call

LIBRARY = Path(protoxai.__file__).parent
MOST_OBSCURE = 0.05
# The suite tries a share of all misuses, drawn by a seed; `make nightly` tries each.
SHARE = 0.4
PAIRS = 3000
SHAPES = ("long", "shor", "swap", "more", "fewe", "few", "twic")
PACKAGES = (
    "protoxai",
    "protoxai.losses",
    "protoxai.metrics",
    "protoxai.attribution",
    "protoxai.heads",
    "protoxai.prototypes",
    "protoxai.projection",
    "protoxai.evaluation",
    "protoxai.explanations",
    "protoxai.comparison",
    "protoxai.data",
)
# Records that the library returns, errors, type aliases, bases without an implementation, and data
# sets that are read from files, whose arguments are those of SegmentationDataset and paths.
NOT_CALLED = [
    "AttributionMethod",
    "Attribution",
    "Cost",
    "RegisteredExplainer",
    "Estimate",
    "ExplainedTask",
    "PartDrops",
    "UndefinedError",
    "PerImageMetric",
    "ModelMetric",
    "Projection",
    "ProjectionRecord",
    "PruningRecord",
    "RefitRecord",
    "CellScores",
    "Prototype",
    "PrototypeOutput",
    "Prototypes",
    "Provenance",
    "Scores",
    "Contrast",
    "Edit",
    "EvidenceChange",
    "ExplanationChange",
    "Mark",
    "RegionChange",
    "Firing",
    "GroupEvidence",
    "PrototypeContrast",
    "PrototypeEvidence",
    "ReceptiveField",
    "RegionExplanation",
    "Comparison",
    "Result",
    "Task",
    "TaskName",
    "Batch",
    "LayoutError",
    "ObjectPart",
    "RawSample",
    "Sample",
    "Transform",
    "ADE20K",
    "EM",
    "SBD",
    "COCOStuff",
    "CamVid",
    "Cityscapes",
    "FolderDataset",
    "PairedDataset",
    "PascalVOC",
    "loss_terms",
    "registered_metrics",
]
Misuse = tuple[Call, dict[str, str], dict[str, Any]]


def single(call: Call) -> Iterator[Misuse]:
    for argument, domain in call.arguments.items():
        for name, make in domain.invalid.items():
            yield call, {argument: name}, {argument: make()}


def pair(draw: random.Random) -> Misuse:
    call = draw.choice([call for call in CALLS if len(call.arguments) > 1])
    wrong = draw.sample(sorted(call.arguments), 2)
    # Two tensors of another shape may fit each other.
    names = {
        argument: draw.choice([n for n in call.arguments[argument].invalid if n[:4] not in SHAPES])
        for argument in wrong
    }
    return call, names, {a: call.arguments[a].invalid[name]() for a, name in names.items()}


def outcome(call: Call, wrong: dict[str, Any]) -> tuple[str, str]:
    """Return "clear", "obscure" or "returned", and what happened."""
    arguments = {name: domain.valid() for name, domain in call.arguments.items()}
    try:
        result = call.run(**{**arguments, **wrong})
    except Exception as error:
        text = str(error)
        raised = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        own = isinstance(error, ValueError | TypeError) and raised.is_relative_to(LIBRARY)
        named = any(name in text or repr(value)[:20] in text for name, value in wrong.items())
        return "clear" if own and named else "obscure", f"{type(error).__name__}: {text[:150]}"
    return "returned", type(result).__name__


def table(counts: Counter[tuple[str, str]]) -> str:
    """Return the numbers of outcomes by package."""
    kinds = ("clear", "obscure", "returned")
    lines = ["".join([f"{'package':24}", *(f"{head:>10}" for head in ("misuses", *kinds))])]
    for package in [*sorted({package for package, _ in counts}), "all"]:
        numbers = [
            sum(n for (p, k), n in counts.items() if k == kind and package in (p, "all"))
            for kind in kinds
        ]
        lines.append("".join([f"{package:24}", *(f"{n:10}" for n in (sum(numbers), *numbers))]))
    return "\n".join(lines)


def check(misuses: list[Misuse]) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    findings: dict[str, list[str]] = {"clear": [], "obscure": [], "returned": []}
    for call, names, wrong in misuses:
        kind, what = outcome(call, wrong)
        counts[call.package, kind] += 1
        findings[kind].append(f"{kind}: {call.package}.{call.name}({names}): {what}")
    sys.stdout.write("\n".join([table(counts), *findings["obscure"], *findings["returned"], ""]))
    assert not findings["returned"]
    assert len(findings["obscure"]) <= MOST_OBSCURE * len(misuses)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_the_call_itself_is_valid(call: Call) -> None:
    call.run(**{name: domain.valid() for name, domain in call.arguments.items()})


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_called(package: str) -> None:
    module = importlib.import_module(package)
    called = {call.name.split(".")[0].split("(")[0].split(" ")[0] for call in CALLS}
    public = {name for name in module.__all__ if callable(getattr(module, name))}
    assert public - called - set(NOT_CALLED) == set()


def test_a_share_of_all_misuses_is_refused_clearly() -> None:
    draw = random.Random(0)
    check([misuse for call in CALLS for misuse in single(call) if draw.random() < SHARE])


@pytest.mark.nightly
def test_every_misuse_is_refused_clearly() -> None:
    check([misuse for call in CALLS for misuse in single(call)])


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(3))
def test_two_misuses_at_once_are_refused_clearly(seed: int) -> None:
    draw = random.Random(seed)
    check([pair(draw) for _ in range(PAIRS)])
