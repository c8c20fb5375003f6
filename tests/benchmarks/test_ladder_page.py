"""Stored ladders, their page, and the commands that measure them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.experiments.pages import with_block
from benchmarks.interpretability import ladder
from benchmarks.interpretability.ladder import PAGE, main, of_noise, trained
from benchmarks.interpretability.ladder_outcomes import OF_LABELS, outcome
from benchmarks.interpretability.ladder_tables import (
    RANDOMISED,
    RANKED,
    Ladder,
    ladders_in,
    read,
    tables,
    within_bound,
)
from benchmarks.interpretability.records import RESULTS
from benchmarks.interpretability.rungs import NOISES, KnownModel, known_tasks
from protoxai.comparison import compare, explainers_of
from protoxai.metrics.base.paired import paired_difference
from protoxai.training import Recipe, run
from tests.comparison.toys import quiet

STORED = ladders_in(RESULTS)
RANKING = [
    (each, figure)
    for each in STORED
    if each.kind in RANKED
    for figure, up in each.table.figures.items()
    if up is not None
]


@pytest.mark.parametrize(("stored", "figure"), RANKING, ids=[f"{e.title}-{f}" for e, f in RANKING])
def test_a_figure_with_an_arrow_stands_on_every_model(stored: Ladder, figure: str) -> None:
    assert outcome(stored.table, figure, stored.table.figures[figure]).failures == ()


@pytest.fixture(scope="module")
def block() -> str:
    """The tables of the stored results."""
    return tables(RESULTS)


def test_the_page_is_what_the_stored_results_say(block: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_block(page, "ladder", block) == page


def test_sections_say_why_values_are_undefined(block: str) -> None:
    assert "\nUndefined values:\n" in block
    assert "for all explainers (fewer than 3 parts can be removed)" in block


def test_figures_of_labels_show_the_inverted_perfect_map(block: str) -> None:
    rows = [line for line in block.splitlines() if "; perfect, inverted: " in line]
    assert [row.split("`")[1] for row in rows] == list(OF_LABELS)


def test_draws_of_noise_are_averaged_within_a_task(tmp_path: Path) -> None:
    model, tasks = KnownModel().eval(), known_tasks(2, 32)
    table = of_noise(model, tasks, 2, tmp_path)
    assert table.model_seeds == 2
    by_draw = []
    for draw in range(2):
        explainers = explainers_of([model], NOISES, references=False)
        for explainer in explainers:
            explainer.seed = draw
        one = compare(explainers, tasks, metrics=["faithfulness"], log=quiet)
        by_draw.append([row[0] for row in one.results[0].rows])
    first, second = torch.tensor(by_draw)
    assert float((first - second).abs().max()) > 0.01
    averaged = torch.tensor([row[0] for row in table.results[0].rows])
    torch.testing.assert_close(averaged, (first + second) / 2, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.01, -0.01, 0.0, 0.005, -0.005, 0.0], "yes, with the whole interval"),
        ([0.1, -0.1, 0.05, 0.0, 0.02, -0.05], "the mean does; not resolved"),
        ([0.1, -0.04, 0.05, 0.02, 0.12, 0.0], "the mean does not; not resolved"),
        ([0.1, 0.11, 0.1, 0.09, 0.1, 0.1], "no"),
        ([0.01, 0.02], "the mean does; no interval"),
    ],
)
def test_a_bound_is_kept_only_with_the_whole_interval(values: list[float], verdict: str) -> None:
    pairs = torch.tensor(values, dtype=torch.float64)
    for sign in (1, -1):
        assert within_bound(paired_difference(sign * pairs, torch.zeros_like(pairs))) == verdict


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no run"):
        trained(tmp_path / "model")


def called(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["ladder.py", *map(str, words)])
    main()


def test_the_noise_of_the_known_model_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "SIDE", 32)
    options = ["--tasks", "2", "--draws", "2", "--output", tmp_path / "kept", "--results", tmp_path]
    called(monkeypatch, "noise", "known", *options)
    [stored] = ladders_in(tmp_path)
    assert stored.kind == "noise"
    page = tables(tmp_path)
    assert "| The model whose reasons are known | 2 | `context_faithfulness` |" in page
    assert "Outcome" in page


@pytest.mark.slow
def test_a_trained_model_is_asked_in_the_size_of_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.load("shapes").smoke()
    data = replace(recipe.data, evaluation_size=(48, 48))
    run(replace(recipe, data=data, seed=7), tmp_path / "run", progress=False, log=quiet)
    for folder in (tmp_path / "run", tmp_path / "run" / "model"):
        subject = trained(folder)
        assert subject.about["model_seed"] == 7
        assert subject.about["scores"].startswith("mIoU ")
        [task] = subject.tasks(1)
        assert task.image.shape == (1, 3, 48, 48)
        assert task.without_parts is not None
    options = ["--tasks", "1", "--output", tmp_path / "kept", "--results", tmp_path]
    for kind in ("shapes", "randomisation"):
        called(monkeypatch, kind, tmp_path / "run", *options)
    measured = [each.kind for each in ladders_in(tmp_path)]
    assert measured == ["shapes", RANDOMISED]
    stored = read(tmp_path / "ladder-shapes-scaleprotoseg.json")
    assert "The model, of seed 7: mIoU " in stored.measured
    assert "ScaleProtoSeg, trained on Shapes: shuffled layers" in tables(tmp_path)
