"""Explainers of known quality: the figures with an arrow put them in order, the others cannot."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.interpretability.ladder import RANDOMISATION, ranks
from benchmarks.interpretability.ladder_outcomes import NO_ARROW, OF_LABELS, outcome
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
from protoxai.metrics import infidelity, metric_named, registered_metrics
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
    names = [n for n in registered_metrics() if not ranks(n) and n != RANDOMISATION]
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
    assert [text.split(" (")[0] for text in found.behind] == ["pixel_noise"]
    assert str(found).startswith("**stands** for the best real explainer; not for: pixel_noise (")
    alone = outcome(known, "faithfulness", True)
    assert str(alone) == "**stands**"


def test_an_explainer_is_named_once_with_its_worst_reason(known: Comparison) -> None:
    def with_values(name: str, values: list[float]) -> Comparison:
        """The same, with another faithfulness of an explainer, which is made a real one."""
        return replace(
            known,
            results=tuple(
                replace(r, reference=False, rows=tuple((v, *r.rows[0][1:]) for v in values))
                if r.explainer.endswith(name) and "faithfulness" in r.figures
                else replace(r, reference=r.reference and not r.explainer.endswith(name))
                for r in known.results
            ),
        )

    [behind] = outcome(with_values(": truth", [-9.0] * PICTURES), "faithfulness").behind
    named = behind.removeprefix("truth (not above ").removesuffix(")")
    assert sorted(named.split(", ")) == sorted(NULL_MAPS)
    wavering = [0.5, -0.4] * (PICTURES // 2)
    [behind] = outcome(with_values(": truth", wavering), "faithfulness").behind
    assert behind.startswith("truth (p = 0.")


def test_the_negative_of_true_contributions_lies_on_the_object_too(known: Comparison) -> None:
    own, other, noise = (
        value(known, rung, "off_target_leakage")
        for rung in ("perfect", "perfect, inverted", "pixel_noise")
    )
    assert own == pytest.approx(other, abs=1e-6)
    assert other < noise - 0.1
    assert value(known, "perfect, inverted", "relevance_mass") > 0.1


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


def test_noise_passes_the_check_of_the_target(described: Comparison) -> None:
    assert value(described, "pixel_noise", "target_sensitivity") == pytest.approx(1, abs=0.1)


def test_randomisation_asks_whether_a_map_depends_on_the_model(tasks: list[Task]) -> None:
    torch.manual_seed(0)
    # Its weights differ, unlike those of the known model, which shuffling leaves as they are.
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1))
    names = ("smooth_noise", "pixel_noise", "edges", "truth", *REAL)
    explainers = [e for e in rungs(model, tasks, REAL) if e.name.split(": ")[1] in names]
    [negative] = [e for e in rungs(model, tasks, REAL) if e.name.endswith(REAL[0])]
    negative.name = "Sequential: negative"
    original = negative.attribute
    negative.attribute = lambda *inputs: (-original(*inputs)[0], None)
    table = compare([*explainers, negative], tasks[:4], metrics=[RANDOMISATION], log=quiet)

    def of(rung: str, figure: str) -> float:
        return table[f"Sequential: {rung}", figure].mean

    # What does not depend on the model stays as it is, and fails.
    for rung in ("smooth_noise", "pixel_noise", "edges", "truth"):
        assert of(rung, RANDOMISATION) == pytest.approx(1)
        assert of(rung, "randomisation_passed") == 0
    assert of(REAL[0], RANDOMISATION) < 0.9
    # The check cannot tell whether a map is right from whether it is its opposite.
    assert of("negative", RANDOMISATION) == pytest.approx(of(REAL[0], RANDOMISATION), abs=1e-6)


def test_infidelity_follows_the_gradient_and_not_the_contributions(tasks: list[Task]) -> None:
    model, found = KnownModel().eval(), []
    for task in tasks:
        region, own = task.region(model), task.class_index
        image = task.image.clone().requires_grad_()
        logit = SegmentationTarget(model)
        (gradient,) = torch.autograd.grad(logit(image, region, own).sum(), image)
        maps = contributions(task.image, region, own)
        noise = torch.randn(maps.shape, generator=torch.Generator().manual_seed(task.index))
        each = (gradient, maps, noise, torch.ones_like(maps))
        found.append([float(infidelity(logit, task.image, a, (region, own))) for a in each])
    by_gradient, exact, noise, constant = torch.tensor(found).mean(0).tolist()
    assert by_gradient == pytest.approx(0, abs=1e-9)
    assert exact > 0.8 * noise
    assert constant < 0.8 * exact


def test_noise_is_cheap_and_has_no_units(described: Comparison) -> None:
    for figure in ("forward_passes", "backward_passes"):
        assert value(described, "pixel_noise", figure) == 0 < value(described, REAL[0], figure)
    for figure in ("active_units", "effective_units"):
        assert not any(described[name, figure] for name in described.explainers)
