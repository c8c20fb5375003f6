import json
from pathlib import Path

import pytest

from benchmarks.speed import report, run
from benchmarks.speed.cases import Setting
from benchmarks.speed.figure import Bound, Curve, Figure
from benchmarks.speed.measure import Ratio

FIGURES = [
    Figure("logits", "Pascal VOC", "plain / protoxai", Ratio(12.345, 11, 13)),
    Figure("logits", "ADE20K", "plain / protoxai", Ratio(260, 1, 2), Bound("at least", 250)),
    Figure("predict", "ADE20K", "a / b", Ratio(1.06, 1, 2), Bound("at most", 1.05), {"a, ms": 0.5}),
]
CURVE = Curve("predict", "classes", [150, 300], [10.0, 21.0], [5.0, 10.0])


def test_bounds_hold_at_their_limit() -> None:
    least, most = Bound("at least", 2), Bound("at most", 2)
    assert [least.holds(x) for x in (1.9, 2, 2.1)] == [False, True, True]
    assert [most.holds(x) for x in (1.9, 2, 2.1)] == [True, True, False]


def test_table_has_bounds_first_and_says_what_was_missed(tmp_path: Path) -> None:
    parts = {"predict": report.part_content([*FIGURES, CURVE], Setting(rounds=7))}
    report.write(tmp_path, parts)
    lines = (tmp_path / "speed.md").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")]
    assert [row[3] for row in rows[2:]] == ["**260**", "**1.06**", "**12.3**"]
    assert [row[6] for row in rows[2:]] == ["yes", "**no**", ""]
    assert "- predict along classes: 150: 10.0 (5.00), 300: 21.0 (10.0)" in lines
    assert "medians of 7 rounds" in lines[2]
    assert (tmp_path / "speed.png").stat().st_size > 1000
    assert report.read(tmp_path) == json.loads(json.dumps(parts))


def test_parts_measured_before_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report.write(tmp_path, {"many-classes": report.part_content(FIGURES, Setting())})
    command = ["run.py", "--quick", "--rounds", "1", "--only", "compact"]
    monkeypatch.setattr("sys.argv", [*command, "--output", str(tmp_path)])
    run.main()
    parts = report.read(tmp_path)
    assert list(parts) == ["compact", "many-classes"]
    assert parts["many-classes"]["rounds"] == 5
    names = [figure["name"] for figure in parts["compact"]["results"]]
    assert [name.rpartition(", ")[2] for name in names] == ["dense last layer", "tied last layer"]
    assert "full / compact" in capsys.readouterr().out
