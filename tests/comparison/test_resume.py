"""Results that a comparison reuses from its output folder."""

import inspect
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import protoxai
from protoxai.attribution import CaptumAttribution
from protoxai.comparison import Task, code_digest, compare, measurement
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
    # Each task for the table, and for the picture of the maps.
    assert (first.explained, again.explained, lines) == (2 + 2, 0, [])
    assert same_values(before, after)
    assert (tmp_path / "comparison.json").is_file()
    assert before.to_csv() == after.to_csv()


def test_only_what_is_missing_is_measured(tmp_path) -> None:
    options = {"metrics": FAST, "output": tmp_path, "log": quiet}
    before = compare([Scripted("red", red)], TASKS, **options)
    known, new = Scripted("red", red), Scripted("blue", lambda images, region: images[:, 2])
    lines: list[str] = []
    names = [*FAST, "complexity"]
    comparison = compare([known, new], TASKS, metrics=names, output=tmp_path, log=lines.append)
    assert len(comparison.results) == 8
    assert [line.split(":")[0] for line in lines[1:]] == ["task 1 of 2", "task 2 of 2"]
    assert lines[0].startswith("about 0 s for 2 explainers on 2 tasks, by a sample of one")
    # What is known of "red" is not measured again, but it is explained for the new metric.
    assert (known.explained, new.explained) == (2 + 2, 2 + 2)
    assert comparison.results[0].rows == before.results[0].rows


@pytest.mark.parametrize(
    ("tasks", "options", "measured_tasks"),
    [
        (TASKS[:1], {}, 0),
        ([*TASKS, red_corner(11)], {}, 1),
        (TASKS, {"seed": 5}, 2),
        ([red_corner(index, class_index=2) for index in (4, 9)], {}, 2),
    ],
    ids=["fewer tasks", "more tasks", "another seed", "another class"],
)
def test_only_other_tasks_and_seeds_are_measured_again(
    tasks, options, measured_tasks, tmp_path
) -> None:
    compare([Scripted("red", red)], TASKS, metrics=["cost"], output=tmp_path, log=quiet)
    again, lines = Scripted("red", red), []
    options = {"metrics": ["cost"], "output": tmp_path, "log": lines.append, **options}
    table = compare([again], tasks, **options)
    assert measured(table) == {("red", "cost"): len(tasks)}
    assert sum(line.startswith("task ") for line in lines) == measured_tasks
    # The picture of the maps is drawn anew where it shows other tasks.
    drawn = 0 if tasks is TASKS else len(tasks)
    assert again.explained == measured_tasks + drawn


def test_a_changed_metric_is_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    explainers, lines = [Scripted("red", red)], []
    compare(explainers, TASKS, metrics=FAST, output=tmp_path, log=quiet)
    unchanged = inspect.getsource
    changed = sys.modules[Sparseness.__module__]
    monkeypatch.setattr(
        inspect, "getsource", lambda module: "" if module is changed else unchanged(module)
    )
    explainers[0].explained = 0
    compare(explainers, TASKS, metrics=FAST, output=tmp_path, log=lines.append)
    assert [line.split(":")[0] for line in lines[1:]] == ["task 1 of 2", "task 2 of 2"]
    # For the one metric, and once for each task.
    assert explainers[0].explained == 2


def test_changes_of_the_library_are_measured_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    explainers, lines = [Scripted("red", red)], []
    compare(explainers, TASKS, metrics=FAST, output=tmp_path, log=quiet)
    monkeypatch.setattr(code_digest, "_library_digest", lambda: "other")
    compare(explainers, TASKS, metrics=FAST, output=tmp_path, log=lines.append)
    assert [line.split(":")[0] for line in lines[1:]] == ["task 1 of 2", "task 2 of 2"]


@pytest.mark.parametrize("part", code_digest.PARTS)
def test_all_named_parts_of_the_library_count(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Path(protoxai.__file__).parent / part).exists()
    full = code_digest._library_digest.__wrapped__
    before = full()
    fewer = tuple(name for name in code_digest.PARTS if name != part)
    monkeypatch.setattr(code_digest, "PARTS", fewer)
    assert full() != before


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
    # Twice for the table, and twice for the picture of the maps.
    assert slow.explained == 2 + 2


def relabelled(task: Task) -> Task:
    return replace(task, labels=torch.where(task.labels == 7, 8, task.labels))


@pytest.mark.parametrize(
    "changed",
    [
        lambda task: replace(task, background=None),
        lambda task: replace(task, ignore_index=7),
        relabelled,
    ],
    ids=["background", "ignored label", "labels"],
)
def test_other_labels_are_measured_again_where_they_count(changed, tmp_path) -> None:
    options = {"metrics": ["off_target_leakage", "cost"], "log": quiet}
    compare([Scripted("red", red)], TASKS, output=tmp_path, **options)
    others = [changed(task) for task in TASKS]
    stored = compare([Scripted("red", red)], others, output=tmp_path, **options)
    fresh = compare([Scripted("red", red)], others, **options)
    assert repr(stored.results[0].rows) == repr(fresh.results[0].rows)


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
    stored["values"] = stored.pop("rows")
    return json.dumps(stored)


def without_rows(text: str) -> str:
    return json.dumps({key: value for key, value in json.loads(text).items() if key != "rows"})


def with_another_value(text: str) -> str:
    stored = json.loads(text)
    for row in stored["rows"].values():
        row[0] = [0.5]
    return json.dumps(stored)


def with_another_key(text: str) -> str:
    stored = json.loads(text)
    stored["rows"] = {f"{key}0": row for key, row in stored["rows"].items()}
    return json.dumps(stored)


@pytest.mark.parametrize(
    "damage",
    [
        cut_off,
        of_another_version,
        without_rows,
        with_another_value,
        with_another_key,
        *(lambda text, content=content: content for content in ("", "[1]", "null", "7", "{}")),
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_file_is_measured_again(damage, tmp_path) -> None:
    options = {"metrics": ["sparseness"], "output": tmp_path, "log": quiet}
    before = compare([Scripted("red", red)], TASKS, **options)
    file, _ = sorted((tmp_path / "results").iterdir())
    intact = file.read_text()
    file.write_text(damage(intact))
    again = Scripted("red", red)
    assert same_values(before, compare([again], TASKS, **options))
    assert again.explained == 1
    assert list(json.loads(file.read_text())["rows"]) == list(json.loads(intact)["rows"])


def test_a_changed_explainer_is_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    options = {"metrics": ["cost"], "output": tmp_path, "log": quiet}
    compare([Scripted("red", red)], TASKS, **options)
    unchanged, changed = inspect.getsource, sys.modules[Scripted.__module__]
    monkeypatch.setattr(
        inspect, "getsource", lambda module: "" if module is changed else unchanged(module)
    )
    again = Scripted("red", red)
    compare([again], TASKS, **options)
    assert again.explained == 2 + 2


def test_an_explainer_without_source_is_always_measured(tmp_path) -> None:
    # As in a console, where nothing shows that it has changed.
    namespace = {"Scripted": Scripted, "__name__": "console"}
    exec("class Mine(Scripted): pass", namespace)
    options = {"metrics": ["cost"], "output": tmp_path, "log": quiet}
    for drawn in (2, 0):
        again = namespace["Mine"]("red", red)
        compare([again], TASKS, **options)
        assert again.explained == 2 + drawn
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


def test_a_models_parameters_are_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    model, unchanged, read = colours(), measurement.fingerprint, []

    def noted(tensors) -> str:
        tensors = list(tensors)
        read.extend(tensor for tensor in tensors if tensor is model.weight)
        return unchanged(tensors)

    monkeypatch.setattr(measurement, "fingerprint", noted)
    explainers = [Scripted(name, red, model) for name in ("a", "b")]
    compare(explainers, TASKS, metrics=FAST, output=tmp_path, log=quiet)
    assert len(read) == 1
