"""What a comparison finds of itself in its folder."""

import json

import pytest
import torch

from protoxai.attribution import CaptumAttribution
from protoxai.comparison import compare
from tests.comparison.toys import (
    QUESTIONS,
    SIZE,
    Clock,
    Scripted,
    colours,
    fails_on,
    measured,
    quiet,
    red,
    red_corner,
    same_values,
)

FAST = ["sparseness", "pointing_game", "cost"]


def test_finished_cells_are_taken_from_the_output_folder(tmp_path) -> None:
    first, again = Scripted("red", red), Scripted("red", red)
    lines: list[str] = []
    before = compare([first], QUESTIONS, metrics=FAST, output=tmp_path, say=quiet)
    after = compare([again], QUESTIONS, metrics=FAST, output=tmp_path, say=lines.append)
    assert (first.asked, again.asked, lines) == (2, 0, [])
    assert same_values(before, after)
    assert (tmp_path / "comparison.json").is_file()
    assert before.to_csv() == after.to_csv()


def test_only_what_is_missing_is_measured(tmp_path) -> None:
    compare([Scripted("red", red)], QUESTIONS, metrics=FAST, output=tmp_path, say=quiet)
    known, new = Scripted("red", red), Scripted("blue", lambda images, region: images[:, 2])
    lines: list[str] = []
    names = [*FAST, "complexity"]
    comparison = compare([known, new], QUESTIONS, metrics=names, output=tmp_path, say=lines.append)
    assert len(comparison.cells) == 8
    assert [line.split(":")[0] for line in lines] == [
        "red, complexity",
        *(f"blue, {name}" for name in names),
    ]


@pytest.mark.parametrize(
    ("questions", "options"),
    [
        (QUESTIONS[:1], {}),
        ([*QUESTIONS, red_corner(11)], {}),
        (QUESTIONS, {"seed": 5}),
        ([red_corner(index, class_index=2) for index in (4, 9)], {}),
    ],
    ids=["fewer images", "more images", "another seed", "another class"],
)
def test_what_was_measured_otherwise_is_measured_again(questions, options, tmp_path) -> None:
    compare([Scripted("red", red)], QUESTIONS, metrics=["cost"], output=tmp_path, say=quiet)
    again = Scripted("red", red)
    compare([again], questions, metrics=["cost"], output=tmp_path, say=quiet, **options)
    assert again.asked == len(questions)


def test_a_changed_model_is_measured_again(tmp_path) -> None:
    one, other = colours(), colours()
    other.weight.data *= 2
    for model in (one, other):
        explainer = CaptumAttribution("InputXGradient", model)
        found = compare([explainer], QUESTIONS, metrics=["infidelity"], output=tmp_path, say=quiet)
        fresh = compare([explainer], QUESTIONS, metrics=["infidelity"], say=quiet)
        assert same_values(found, fresh)


def test_incomplete_cells_are_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    slow = Clock(monkeypatch).explainer
    short = {"metrics": ["sparseness"], "output": tmp_path, "say": quiet}
    assert measured(compare([slow], QUESTIONS, budget=0.5, **short)) == {("slow", "sparseness"): 1}
    assert measured(compare([slow], QUESTIONS, **short)) == {("slow", "sparseness"): 2}
    assert slow.asked == 3


def test_cells_that_failed_are_measured_again(tmp_path) -> None:
    options = {"metrics": ["sparseness"], "output": tmp_path, "say": quiet}
    assert compare([Scripted("red", fails_on(1))], QUESTIONS, **options).failures()
    mended = compare([Scripted("red", red)], QUESTIONS, **options)
    assert mended.failures() == []
    assert measured(mended) == {("red", "sparseness"): 2}


@pytest.mark.parametrize("budget", [None, 60])
def test_cells_that_are_not_defined_are_finished(budget, tmp_path) -> None:
    options = {"metrics": ["active_units"], "output": tmp_path, "say": quiet, "budget": budget}
    first, again = Scripted("red", red), Scripted("red", red)
    before = compare([first], QUESTIONS, **options)
    after = compare([again], QUESTIONS, **options)
    assert before.failures() == after.failures() == ["red, active_units: no units"]
    assert again.asked == 0


def test_a_cell_cut_off_while_it_was_written_is_measured_again(tmp_path) -> None:
    options = {"metrics": ["sparseness"], "output": tmp_path, "say": quiet}
    compare([Scripted("red", red)], QUESTIONS, **options)
    [file] = (tmp_path / "cells").iterdir()
    file.write_text(file.read_text()[:40])
    again = Scripted("red", red)
    compare([again], QUESTIONS, **options)
    assert again.asked == 2
    json.loads(file.read_text())


def test_explainers_with_like_names_have_files_of_their_own(tmp_path) -> None:
    names = ("IG 8", "IG-8", "ig/8")
    options = {"metrics": ["cost"], "output": tmp_path, "say": quiet}
    compare([Scripted(name, red) for name in names], QUESTIONS, **options)
    again = [Scripted(name, red) for name in names]
    compare(again, QUESTIONS, **options)
    assert [explainer.asked for explainer in again] == [0, 0, 0]


def test_undefined_values_are_stored_as_json(tmp_path) -> None:
    constant = Scripted("constant", lambda images, region: torch.ones(len(images), *SIZE))
    options = {"metrics": ["pointing_game", "cost"], "output": tmp_path, "say": quiet}
    before = compare([constant], QUESTIONS, **options)
    texts = [file.read_text() for file in tmp_path.rglob("*.json")]
    assert len(texts) == 3
    assert not any("NaN" in text for text in texts)
    assert same_values(before, compare([constant], QUESTIONS, **options))
    assert before["constant", "pointing_game"] is None
