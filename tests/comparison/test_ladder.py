"""Explainers of known quality: the figures with an arrow put them in order, the others cannot."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.experiments.pages import with_block
from benchmarks.interpretability.ladder import PAGE, ranks
from benchmarks.interpretability.ladder_outcomes import NO_ARROW, OF_LABELS, outcome
from benchmarks.interpretability.ladder_tables import tables
from benchmarks.interpretability.records import RESULTS
from benchmarks.interpretability.rungs import (
    KNOWN_REAL,
    NULL_MAPS,
    KnownModel,
    contributions,
    known_tasks,
    rungs,
)
from protoxai.attribution import SegmentationTarget
from protoxai.comparison import Comparison, Task, compare
from protoxai.metrics import metric_named, registered_metrics
from tests.comparison.toys import quiet

PICTURES, SIZE = 16, 48
FIGURES = {name: up for m in registered_metrics() for name, up in metric_named(m).figures.items()}
RANKED = tuple(name for name, up in FIGURES.items() if up is not None)
SLOW = ("patch_faithfulness", "perturbation_agreement")
"""Metrics with an arrow that the long ladder alone measures."""
REAL = ("InputXGradient",)
SHORT = ("perfect", "truth", *REAL, *NULL_MAPS, "perfect, inverted", "truth, inverted")
"""Rungs of the short ladder."""


def measured(model: nn.Module, tasks: list[Task], metrics: list[str], names, **options):
    """The comparison of some rungs of a model."""
    explainers = [e for e in rungs(model, tasks, **options) if e.name.split(": ")[1] in names]
    assert len(explainers) == len(names)
    return compare(explainers, tasks, metrics=metrics, log=quiet)


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return known_tasks(PICTURES, SIZE)


@pytest.fixture(scope="module")
def known(tasks: list[Task]) -> Comparison:
    """The short ladder of the model whose reasons are known."""
    names = [name for name in registered_metrics() if ranks(name) and name not in SLOW]
    return measured(KnownModel().eval(), tasks, names, SHORT, real=REAL, exact=True)


@pytest.fixture(scope="module")
def long() -> Comparison:
    """All rungs of the same model, and all figures with an arrow."""
    tasks, model = known_tasks(PICTURES, 64), KnownModel().eval()
    names = [name for name in registered_metrics() if ranks(name)]
    explainers = rungs(model, tasks, KNOWN_REAL, exact=True)
    return compare(explainers, tasks, metrics=names, log=quiet)


@pytest.fixture(scope="module")
def described(tasks: list[Task]) -> Comparison:
    """The figures that only describe, on two tasks."""
    names = [name for name in registered_metrics() if not ranks(name)]
    rows = ("perfect", "truth", *REAL, *NULL_MAPS, "perfect, inverted")
    return measured(KnownModel().eval(), tasks[:2], names, rows, real=REAL, exact=True)


def value(table: Comparison, rung: str, figure: str) -> float:
    found = table[f"KnownModel: {rung}", figure]
    return math.nan if found is None else found.mean


def test_every_figure_has_an_arrow_or_a_reason_why_it_has_none() -> None:
    assert sorted(FIGURES) == sorted([*RANKED, *NO_ARROW])


def test_contributions_are_exact(tasks) -> None:
    model, task = KnownModel().eval(), tasks[0]
    region = task.region(model)
    for own in (torch.tensor([0]), torch.tensor([1])):
        image = task.image.clone().requires_grad_()
        logit = SegmentationTarget(model)(image, region, own)
        (gradient,) = torch.autograd.grad(logit.sum(), image)
        found = contributions(task.image, region, own)
        torch.testing.assert_close(found, (gradient * task.image).sum(1))
        assert float(found.sum()) == pytest.approx(float(logit.detach()), rel=1e-4)


def test_the_known_model_uses_pixels_inside_and_outside_of_the_region(tasks) -> None:
    model = KnownModel().eval()
    for task in tasks:
        region = task.region(model)
        assert bool(region.any())
        maps = contributions(task.image, region, task.class_index)
        outside = float(maps.masked_fill(region | task.truth, 0).abs().sum() / maps.abs().sum())
        has_context = bool((task.labels == 2).any())
        assert 0.05 < outside < 0.6 if has_context else outside < 0.05


def test_parts_of_one_weight_have_one_effect_whatever_their_size(tasks) -> None:
    without = [list(task.without_parts()) for task in tasks]
    assert sum(len(samples) >= 3 for samples in without) > PICTURES / 3
    changes = [
        (task.image[0] - sample["image"]).abs().amax(0).gt(0).float().mean()
        for task, samples in zip(tasks, without, strict=True)
        for sample in samples
    ]
    assert max(changes) > 10 * min(change for change in changes if change > 0)


@pytest.mark.parametrize("figure", [name for name in RANKED if name not in SLOW])
def test_the_ladder_stands(known: Comparison, figure: str) -> None:
    found = outcome(known, figure, FIGURES[figure])
    assert found.failures == ()
    assert found.perfect == ("truth" if figure in OF_LABELS else "perfect")


@pytest.mark.slow
@pytest.mark.parametrize("figure", RANKED)
def test_the_long_ladder_stands(long: Comparison, figure: str) -> None:
    assert outcome(long, figure, FIGURES[figure]).failures == ()


@pytest.mark.parametrize("figure", [name for name in RANKED if name not in SLOW])
def test_the_ladder_falls_when_it_is_read_upside_down(known: Comparison, figure: str) -> None:
    failures = outcome(known, figure, not FIGURES[figure]).failures
    assert any("is not above" in failure for failure in failures)


def test_the_negative_of_a_map_has_the_negative_faithfulness(known: Comparison) -> None:
    for figure in ("faithfulness", "context_faithfulness"):
        own, other = (value(known, rung, figure) for rung in ("perfect", "perfect, inverted"))
        assert own == pytest.approx(-other, abs=1e-6)
        assert value(known, "constant", figure) == pytest.approx(0, abs=1e-6)


def test_real_explainers_that_are_not_above_the_null_maps_are_named(known: Comparison) -> None:
    # Among real explainers, one of no quality is not the best.
    noisy = Comparison(
        tuple(
            replace(r, reference=r.reference and not r.explainer.endswith("pixel_noise"))
            for r in known.results
        ),
        tasks=known.tasks,
    )
    found = outcome(noisy, "faithfulness", True)
    assert found.stands
    assert any(text.startswith("pixel_noise is not") for text in found.behind)
    assert "but pixel_noise is not" in str(found)


@pytest.mark.parametrize("figure", ["sparseness", "complexity", "scale_spectrum"])
def test_form_is_the_same_upside_down(described: Comparison, figure: str) -> None:
    own = value(described, "perfect", figure)
    assert own == pytest.approx(value(described, "perfect, inverted", figure), rel=1e-5)


def test_deletion_and_insertion_depend_on_smoothness(described: Comparison) -> None:
    for figure in ("deletion", "insertion"):
        smooth, pixel = (value(described, f"{n}_noise", figure) for n in ("smooth", "pixel"))
        assert abs(smooth - pixel) > 0.01


def test_the_most_stable_map_is_one_that_never_changes(described: Comparison) -> None:
    assert value(described, "constant", "max_sensitivity") == 0
    assert value(described, "truth", "max_sensitivity") == 0
    assert value(described, REAL[0], "max_sensitivity") > 0


def test_noise_passes_the_checks(described: Comparison) -> None:
    assert value(described, "pixel_noise", "target_sensitivity") == pytest.approx(1, abs=0.1)
    assert value(described, "truth", "randomisation_passed") == 0
    assert value(described, "truth", "parameter_randomisation") == pytest.approx(1)


def test_noise_is_cheap_and_has_no_units(described: Comparison) -> None:
    for figure in ("forward_passes", "backward_passes"):
        assert value(described, "pixel_noise", figure) == 0 < value(described, REAL[0], figure)
    for figure in ("active_units", "effective_units"):
        assert not any(described[name, figure] for name in described.explainers)


def test_the_page_is_what_the_stored_results_say() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_block(page, "ladder", tables(RESULTS)) == page
