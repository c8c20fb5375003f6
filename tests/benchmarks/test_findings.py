"""Stored comparisons, and the page of what they found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.interpretability.findings import PAGE, by_video, section, write
from benchmarks.interpretability.records import RESULTS, read, stored
from benchmarks.interpretability.study import recipe_of, trained
from protoxai.comparison import Comparison, TaskName
from protoxai.training import Recipe
from tests.comparison.toys import result

FIGURES: dict[str, bool | None] = {"relevance_mass": True, "other_class_leakage": None}


def measured(*shifts: float) -> Comparison:
    """Two explainers on three tasks of one video; the first is ahead by these shifts."""
    tasks = tuple(TaskName(task, task, 1, "video") for task in range(len(shifts)))
    rows = {"ours: groups": shifts, "ours: edges": [0.0] * len(shifts)}
    return Comparison(
        tuple(
            result(
                name,
                "relevance_mass",
                {task: (0.123456789 + shift, 0.5) for task, shift in enumerate(own)},
                FIGURES,
                model="ours",
                reference=name == "ours: edges",
            )
            for name, own in rows.items()
        ),
        tasks=tasks,
    )


def keep(path: Path, table: Comparison) -> None:
    path.write_text(
        stored(table, scores={"camvid-a-ours-1": "mIoU 61"}, prototypes={"one": {"overlap": "0"}})
    )


def test_a_stored_comparison_is_read_as_it_was(tmp_path: Path) -> None:
    keep(tmp_path / "a.json", measured(0.25, -0.5, 0.0))
    record = read(tmp_path / "a.json")
    assert record.table.tasks == measured(0.25, -0.5, 0.0).tasks
    assert record.table.explainers == ["ours: groups", "ours: edges"]
    value = record.table["ours: edges", "relevance_mass"]
    assert value is not None
    assert value.mean == 0.12346
    assert "torch" in record.conditions


def test_videos_stand_side_by_side_with_wins_and_losses(tmp_path: Path) -> None:
    keep(tmp_path / "a.json", measured(0.25, -0.5, 0.0))
    keep(tmp_path / "b.json", measured(0.5, 0.25))
    text = by_video({"A": read(tmp_path / "a.json"), "B": read(tmp_path / "b.json")})
    assert "| ours: groups | 0.040 | 0.498 |  |  |" in text
    assert "| ours: edges | 0.123 | 0.123 | 1–1–1 | 2–0–0 |" in text
    assert "Tasks: 3 (A), 2 (B)." in text
    assert "[" not in text


def test_the_page_has_the_headlines_alone(tmp_path: Path) -> None:
    keep(tmp_path / "a.json", measured(0.25, -0.5, 0.0))
    record = read(tmp_path / "a.json")
    assert "other_class_leakage" in section(record, details=True)
    headlines = section(record, details=False)
    assert "other_class_leakage" not in headlines
    assert headlines.startswith("3 tasks on 3 images; Python")
    assert "| overlap | 0 |" in headlines


def test_the_page_is_what_the_stored_results_say(tmp_path: Path) -> None:
    for file in RESULTS.glob("*.json"):
        shutil.copy(file, tmp_path)
    page = Path(shutil.copy(PAGE, tmp_path))
    write(tmp_path, page)
    assert page.read_text() == PAGE.read_text()
    for tables in ("shapes.md", "camvid.md"):
        assert (tmp_path / tables).exists() == (RESULTS / tables).exists()
        if (tmp_path / tables).exists():
            assert (tmp_path / tables).read_text() == (RESULTS / tables).read_text()


@pytest.mark.slow
def test_models_are_trained_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipes = {"black-box": recipe_of("DeepLabv2", Recipe.load("shapes").smoke())}
    first = trained(recipes, tmp_path)["black-box"]
    checkpoints = {path: path.stat().st_mtime for path in tmp_path.glob("**/*.pt")}
    again = trained(recipes, tmp_path)["black-box"]
    assert again.rows == first.rows
    assert checkpoints
    assert {path: path.stat().st_mtime for path in tmp_path.glob("**/*.pt")} == checkpoints
    assert capsys.readouterr().out.count("black-box: mIoU ") == 2
