"""The time of a comparison: its estimate, and its budget."""

from pathlib import Path

import pytest

from protoxai.comparison import compare
from protoxai.comparison.pace import duration
from protoxai.metrics import Complexity, ExplainedTask
from tests.comparison.toys import TASKS, Clock, Scripted, measured, quiet, red, red_corner


def test_the_budget_ends_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Clock(monkeypatch).explainer
    tasks = [red_corner(index) for index in range(5)]
    names = ["sparseness", "complexity"]
    comparison = compare([slow], tasks, metrics=names, budget=2.5, log=quiet)
    first, second = comparison.results
    # All metrics have the same tasks.
    assert first.indices == second.indices == (0, 1, 2)
    # An explanation serves all metrics.
    assert (first.seconds, second.seconds) == (3, 0)
    assert comparison.failures() == []
    assert "the budget of 2.5 s was spent after 3 of 5 tasks" in comparison.to_text().splitlines()


def test_each_line_tells_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Clock(monkeypatch).explainer
    lines: list[str] = []
    tasks = [red_corner(index) for index in range(300)]
    compare([slow], tasks, metrics=["sparseness"], budget=1, log=lines.append)
    assert lines == [
        "about 5 min for 1 explainer on 300 tasks, by a sample of one; the budget ends it earlier",
        "task 1 of 300: 1.0 s, about 5 min left",
        "task 2 of 300: 1.0 s, about 5 min left",
    ]


def test_the_time_is_estimated_from_a_sample_of_the_first_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    explainers = [clock.explainer, clock.takes(9, "slower"), clock.takes(20, "slowest")]
    update = Complexity.update_from

    def slow_update(metric: Complexity, explained: ExplainedTask) -> None:
        clock.now += 100
        update(metric, explained)

    monkeypatch.setattr(Complexity, "update_from", slow_update)
    lines: list[tuple[float, str]] = []
    started = clock.now
    compare(
        explainers,
        [red_corner(index) for index in range(3)],
        metrics=["complexity", "sparseness"],
        log=lambda line: lines.append((clock.now - started, line)),
    )
    # A task takes 1 + 9 + 20 s for the explanations and three times 100 s for the complexity, which
    # the sample measures twice.
    assert lines == [
        (230, "about 16 min for 3 explainers on 3 tasks, by a sample of one"),
        (330, "task 1 of 3: 330.0 s, about 11 min left"),
        (660, "task 2 of 3: 330.0 s, about 6 min left"),
        (990, "task 3 of 3: 330.0 s"),
    ]


def test_the_estimate_counts_what_explainers_share_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    update = Complexity.update_from
    answered: set[int] = set()

    def slow_update(metric: Complexity, explained: ExplainedTask) -> None:
        # The first explainer of a task pays for the answers of the model.
        clock.now += 0 if explained.index in answered else 100
        answered.add(explained.index)
        update(metric, explained)

    monkeypatch.setattr(Complexity, "update_from", slow_update)
    explainers = [clock.takes(1, name) for name in "abcd"]
    lines: list[str] = []
    tasks = [red_corner(index) for index in range(15)]
    compare(explainers, tasks, metrics=["complexity", "sparseness"], log=lines.append)
    assert (
        lines[0] == f"about {duration(15 * 104)} for 4 explainers on 15 tasks, by a sample of one"
    )


def test_a_metric_that_fails_does_not_make_a_comparison_seem_fast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(metric: Complexity, explained: ExplainedTask) -> None:
        raise RuntimeError("it broke")

    monkeypatch.setattr(Complexity, "for_model", broken)
    clock = Clock(monkeypatch)
    lines: list[str] = []
    tasks = [red_corner(index) for index in range(10)]
    explainers = [clock.explainer, clock.takes(29, "slower"), clock.takes(30, "slowest")]
    compare(explainers, tasks, metrics=["complexity", "sparseness"], log=lines.append, budget=1)
    (line,) = [line for line in lines if line.startswith("about ")]
    # Each explains once, a minute for a task; the broken metric is not known, so it has the mean.
    assert line.startswith("about 20 min for 3 explainers on 10 tasks")


def test_the_time_left_counts_only_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    slow = Clock(monkeypatch).explainer
    tasks = [red_corner(index) for index in range(300)]
    options = {"metrics": ["sparseness"], "output": tmp_path}
    compare([slow], tasks[100:], log=quiet, **options)
    lines: list[str] = []
    compare([slow], tasks, log=lines.append, budget=1, **options)
    # 100 of 300 are missing, a second each.
    assert lines[0].startswith("about 2 min for 1 explainer on 100 tasks")


def test_the_time_after_a_stop_counts_what_was_measured_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock(monkeypatch)
    explainers = [clock.explainer, clock.takes(59, "slower")]
    tasks = [red_corner(index) for index in range(10)]
    options = {"metrics": ["sparseness"], "output": tmp_path}
    compare(explainers, tasks[:1], log=quiet, **options)
    # Of the second task, only the fast explainer is known to take as long as before.
    compare(explainers[:1], tasks[1:2], log=quiet, **options)
    lines: list[str] = []
    compare(explainers, tasks, log=lines.append, budget=1, **options)
    assert lines[0].startswith(f"about {duration(59 + 8 * 60)} for 2 explainers on 9 tasks")


def test_a_spent_budget_leaves_the_same_tasks_to_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    slow = Clock(monkeypatch).explainer
    options = {"metrics": ["sparseness"], "output": tmp_path, "log": quiet}
    known = Scripted("red", red)
    compare([known], TASKS, **options)
    short = compare([known, slow], TASKS, budget=0.5, **options)
    assert measured(short) == {("red", "sparseness"): 1, ("slow", "sparseness"): 1}
    # What was known is not lost.
    assert measured(compare([known], TASKS, budget=0.5, **options)) == {("red", "sparseness"): 2}
