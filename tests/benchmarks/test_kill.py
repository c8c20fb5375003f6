"""The table of killed runs: one row for what is seen, and the page shows the newest results."""

from pathlib import Path

import pytest

from benchmarks.reliability.kill import RESULTS, Kill, table
from protoxai.runtime.files import read_json

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def test_runs_that_look_the_same_are_one_row() -> None:
    kills = [
        Kill("save", "SIGTERM", 143, "stopped", "--resume", True),
        Kill("train", "SIGKILL", -9, "", "the same command", True),
        Kill("train", "SIGKILL", -9, "", "--resume", False),
    ]
    assert table(kills).splitlines()[2:] == [
        "| train | SIGKILL | -9 | nothing | --resume or the same command | 1 of 2 |",
        "| save | SIGTERM | 143 | stopped | --resume | 1 of 1 |",
    ]


@pytest.mark.parametrize("name", ["kills.json"])
def test_the_page_shows_the_results(name: str) -> None:
    kills = [Kill(**values) for values in read_json(RESULTS / name)]
    assert table(kills) in PAGE.read_text(encoding="utf-8")
    assert len(kills) >= 100
    assert all(kill.same for kill in kills)
