"""Part detectors of known quality on synthetic shapes, where every pixel's part is known."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.interpretability.detectors import (
    NULL,
    NUMBERS,
    PERFECT,
    REAL,
    detectors,
    draw,
    failures,
    measured,
    pictures,
)
from benchmarks.interpretability.ladder_tables import PARTS, tables
from benchmarks.interpretability.records import conditions
from protoxai.metrics import Estimate, pointing_game, relevance_mass

NOISE, CONSTANT, OTHERS, MIRRORED = NULL
Ladder = dict[str, float]
Figures = dict[str, dict[str, Estimate]]


@pytest.fixture(scope="module")
def found() -> Figures:
    """The figures of each detector."""
    return measured()


def by_figure(found: Figures, figure: str) -> dict[str, Estimate]:
    return {name: figures[figure] for name, figures in found.items()}


@pytest.fixture(scope="module")
def on_parts() -> dict[str, Ladder]:
    """Pointing game and relevance mass of each detector's map against the mask of its part."""
    _, parts = pictures()
    noise = draw()
    masks = parts[:, None] == NUMBERS[:, None, None]
    shown = masks.flatten(2).any(2)
    return {
        measure.__name__: {
            name: float(measure(detector(noise)[shown], masks[shown]).nanmean())
            for name, detector in detectors(parts).items()
        }
        for measure in (pointing_game, relevance_mass)
    }


@pytest.mark.parametrize("figure", ["part_consistency", "part_stability", "prototype_purity"])
def test_the_ladder_stands(found: Figures, figure: str) -> None:
    values = by_figure(found, figure)
    assert failures(values) == []
    assert failures(values | {PERFECT: values[NOISE]}) == [f"the {PERFECT} is below the {REAL}"]
    assert f"the {REAL} is not above {NOISE}" in failures(values | {REAL: values[NOISE]})


def test_consistency_of_null_maps_is_chance(found: Figures) -> None:
    score = by_figure(found, "part_consistency")
    assert float(score[PERFECT]) >= 0.8
    for name in NULL:
        assert score[name].low <= 0 <= score[name].high < 0.2


def test_stability_asks_whether_a_map_is_stable(found: Figures) -> None:
    score = by_figure(found, "part_stability")
    assert float(score[REAL]) > float(score[NOISE]) + 0.2
    for name in (NOISE, CONSTANT):
        assert score[name].low <= 0 <= score[name].high
    # They ignore the noise, but lie on other places than the part.
    for name in (OTHERS, MIRRORED):
        assert 0 < score[name].low < score[name].high < score[REAL].low


def test_purity_of_null_maps_is_at_most_chance(found: Figures) -> None:
    score = by_figure(found, "prototype_purity")
    assert float(score[PERFECT]) > 0.6
    for name in NULL:
        assert -0.2 < score[name].mean < 0.05


def test_maps_are_ranked_against_parts(on_parts: dict[str, Ladder]) -> None:
    for ladder in on_parts.values():
        assert ladder[PERFECT] > ladder[REAL] > 4 * max(ladder[NOISE], ladder[MIRRORED])
    assert on_parts["pointing_game"][PERFECT] > 0.9
    assert math.isnan(on_parts["pointing_game"][CONSTANT])
    # A constant map has nothing, as noise has.
    assert on_parts["relevance_mass"][CONSTANT] == pytest.approx(0, abs=1e-6)
    assert on_parts["relevance_mass"][NOISE] == pytest.approx(0, abs=0.01)


def test_the_page_has_a_section_of_prototypes(found: Figures, tmp_path: Path) -> None:
    assert "Figures of prototypes" not in tables(tmp_path)
    (tmp_path / PARTS).write_text(json.dumps(conditions() | {"figures": found}))
    page = tables(tmp_path)
    assert "### Figures of prototypes" in page
    assert "| outcome | **stands** | **stands** | **stands** |" in page
    assert f"| {PERFECT} | 1.0" in page
