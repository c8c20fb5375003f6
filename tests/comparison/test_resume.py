"""Results that a comparison reuses from its output folder."""

import inspect
import json
import sys

import pytest
import torch

from protoxai.attribution import CaptumAttribution
from protoxai.comparison import compare
from protoxai.metrics import Sparseness
from tests.comparison.toys import (
    SIZE,
    TASKS,
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


def test_finished_results_are_read_from_the_output_folder(tmp_path) -> None:
    first, again = Scripted("red", red), Scripted("red", red)
    lines: list[str] = []
    before = compare([first], TASKS, metrics=FAST, output=tmp_path, log=quiet)
    after = compare([again], TASKS, metrics=FAST, output=tmp_path, log=lines.append)
    assert (first.explained, again.explained, lines) == (2, 0, [])
    assert same_values(before, after)
    assert (tmp_path / "comparison.json").is_file()
    assert before.to_csv() == after.to_csv()


def test_only_what_is_missing_is_measured(tmp_path) -> None:
    compare([Scripted("red", red)], TASKS, metrics=FAST, output=tmp_path, log=quiet)
    known, new = Scripted("red", red), Scripted("blue", lambda images, region: images[:, 2])
    lines: list[str] = []
    names = [*FAST, "complexity"]
    comparison = compare([known, new], TASKS, metrics=names, output=tmp_path, log=lines.append)
    assert len(comparison.results) == 8
    assert [line.split(":")[0] for line in lines] == [
        "red, complexity",
        *(f"blue, {name}" for name in names),
    ]


@pytest.mark.parametrize(
    ("tasks", "options"),
    [
        (TASKS[:1], {}),
        ([*TASKS, red_corner(11)], {}),
        (TASKS, {"seed": 5}),
        ([red_corner(index, class_index=2) for index in (4, 9)], {}),
    ],
    ids=["fewer images", "more images", "another seed", "another class"],
)
def test_other_tasks_and_seeds_are_measured_again(tasks, options, tmp_path) -> None:
    compare([Scripted("red", red)], TASKS, metrics=["cost"], output=tmp_path, log=quiet)
    again = Scripted("red", red)
    compare([again], tasks, metrics=["cost"], output=tmp_path, log=quiet, **options)
    assert again.explained == len(tasks)


def test_a_changed_metric_is_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    explainers, lines = [Scripted("red", red)], []
    compare(explainers, TASKS, metrics=FAST, output=tmp_path, log=quiet)
    unchanged = inspect.getsource
    changed = sys.modules[Sparseness.__module__]
    monkeypatch.setattr(
        inspect, "getsource", lambda module: "" if module is changed else unchanged(module)
    )
    compare(explainers, TASKS, metrics=FAST, output=tmp_path, log=lines.append)
    assert [line.split(":")[0] for line in lines] == ["red, sparseness"]


def test_a_changed_model_is_measured_again(tmp_path) -> None:
    one, other = colours(), colours()
    other.weight.data *= 2
    for model in (one, other):
        explainer = CaptumAttribution("InputXGradient", model)
        stored = compare([explainer], TASKS, metrics=["infidelity"], output=tmp_path, log=quiet)
        fresh = compare([explainer], TASKS, metrics=["infidelity"], log=quiet)
        assert same_values(stored, fresh)


def test_incomplete_results_are_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    slow = Clock(monkeypatch).explainer
    short = {"metrics": ["sparseness"], "output": tmp_path, "log": quiet}
    assert measured(compare([slow], TASKS, budget=0.5, **short)) == {("slow", "sparseness"): 1}
    assert measured(compare([slow], TASKS, **short)) == {("slow", "sparseness"): 2}
    assert slow.explained == 3


def test_failed_results_are_measured_again(tmp_path) -> None:
    options = {"metrics": ["sparseness"], "output": tmp_path, "log": quiet}
    assert compare([Scripted("red", fails_on(1))], TASKS, **options).failures()
    repaired = compare([Scripted("red", red)], TASKS, **options)
    assert repaired.failures() == []
    assert measured(repaired) == {("red", "sparseness"): 2}


@pytest.mark.parametrize("budget", [None, 60])
def test_undefined_results_are_finished(budget, tmp_path) -> None:
    options = {"metrics": ["active_units"], "output": tmp_path, "log": quiet, "budget": budget}
    first, again = Scripted("red", red), Scripted("red", red)
    before = compare([first], TASKS, **options)
    after = compare([again], TASKS, **options)
    assert before.failures() == after.failures() == ["red, active_units: no units (n = 0)"]
    assert again.explained == 0


def cut_off(text: str) -> str:
    return text[:40]


def of_another_version(text: str) -> str:
    stored = json.loads(text)
    stored["directions"] = stored.pop("figures")
    return json.dumps(stored)


def without_rows(text: str) -> str:
    return json.dumps({key: value for key, value in json.loads(text).items() if key != "rows"})


def with_another_value(text: str) -> str:
    stored = json.loads(text)
    stored["rows"][0] = [0.5]
    return json.dumps(stored)


def with_another_index(text: str) -> str:
    stored = json.loads(text)
    stored["indices"][0] = 77
    return json.dumps(stored)


@pytest.mark.parametrize(
    "damage",
    [
        cut_off,
        of_another_version,
        without_rows,
        with_another_value,
        with_another_index,
        *(lambda text, content=content: content for content in ("", "[1]", "null", "7", "{}")),
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_file_is_measured_again(damage, tmp_path) -> None:
    options = {"metrics": ["sparseness"], "output": tmp_path, "log": quiet}
    before = compare([Scripted("red", red)], TASKS, **options)
    [file] = (tmp_path / "results").iterdir()
    file.write_text(damage(file.read_text()))
    again = Scripted("red", red)
    assert same_values(before, compare([again], TASKS, **options))
    assert again.explained == 2
    assert json.loads(file.read_text())["figures"] == {"sparseness": None}


def test_a_changed_explainer_is_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    options = {"metrics": ["cost"], "output": tmp_path, "log": quiet}
    compare([Scripted("red", red)], TASKS, **options)
    unchanged, changed = inspect.getsource, sys.modules[Scripted.__module__]
    monkeypatch.setattr(
        inspect, "getsource", lambda module: "" if module is changed else unchanged(module)
    )
    again = Scripted("red", red)
    compare([again], TASKS, **options)
    assert again.explained == 2


def test_an_explainer_without_source_is_always_measured(tmp_path) -> None:
    # As in a console, where nothing shows that it has changed.
    namespace = {"Scripted": Scripted, "__name__": "console"}
    exec("class Mine(Scripted): pass", namespace)
    options = {"metrics": ["cost"], "output": tmp_path, "log": quiet}
    for _ in range(2):
        again = namespace["Mine"]("red", red)
        compare([again], TASKS, **options)
        assert again.explained == 2
    assert not list((tmp_path / "results").iterdir())


def test_an_output_that_is_a_file_is_an_error_before_the_measurement(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    explainer = Scripted("red", red)
    with pytest.raises(OSError, match="file"):
        compare([explainer], TASKS, metrics=["cost"], output=tmp_path / "file", log=quiet)
    assert explainer.explained == 0


def test_explainers_with_like_names_have_files_of_their_own(tmp_path) -> None:
    names = ("IG 8", "IG-8", "ig/8")
    options = {"metrics": ["cost"], "output": tmp_path, "log": quiet}
    compare([Scripted(name, red) for name in names], TASKS, **options)
    again = [Scripted(name, red) for name in names]
    compare(again, TASKS, **options)
    assert [explainer.explained for explainer in again] == [0, 0, 0]


def test_undefined_values_are_stored_as_json(tmp_path) -> None:
    constant = Scripted("constant", lambda images, region: torch.ones(len(images), *SIZE))
    options = {"metrics": ["pointing_game", "cost"], "output": tmp_path, "log": quiet}
    before = compare([constant], TASKS, **options)
    texts = [file.read_text() for file in tmp_path.rglob("*.json")]
    assert len(texts) == 3
    assert not any("NaN" in text for text in texts)
    assert same_values(before, compare([constant], TASKS, **options))
    assert before["constant", "pointing_game"] is None
