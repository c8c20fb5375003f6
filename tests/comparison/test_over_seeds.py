"""Comparisons of models that were trained with several seeds."""

import math
from dataclasses import replace

import pytest

from protoxai.comparison import Comparison, TaskName, mean_over_seeds
from tests.comparison.toys import result

NAN = math.nan
FIGURES = {"m": True, "n": None}


def seed(*values: float, name: str = "a") -> Comparison:
    rows = {task: (value, -value) for task, value in enumerate(values)}
    reasons = tuple("empty" if value != value else "" for value in values)
    return Comparison(
        (result(name, "m", rows, FIGURES, model="A", reasons=reasons),),
        tasks=tuple(TaskName(task, task, 0, task) for task in range(len(values))),
    )


def test_each_task_is_the_mean_over_the_seeds_that_have_it() -> None:
    table = mean_over_seeds([seed(1, 2, NAN, NAN), seed(3, NAN, 5, NAN)])
    assert table.results[0].values("m") == {0: 2.0, 1: 2.0, 2: 5.0}
    assert table.results[0].values("n") == {0: -2.0, 1: -2.0, 2: -5.0}
    assert table.results[0].undefined("m") == {"empty": 1}
    assert (table.model_seeds, table.results[0].model) == (2, "A")
    assert "means over 2 trainings" in table.to_text()


def test_the_interval_is_over_tasks_whose_number_stays() -> None:
    values = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    one = seed(*values)
    several = mean_over_seeds([one, one, one])
    assert several["a", "m"] == one["a", "m"]
    assert several["a", "m"].groups == 6


def test_a_task_that_a_seed_did_not_reach_counts_for_the_others() -> None:
    short = replace(seed(1), tasks=seed(1, 2).tasks)
    short = replace(short, left_out=("the budget was spent",))
    table = mean_over_seeds([seed(3, 7), short])
    assert table.results[0].values("m") == {0: 2.0, 1: 7.0}
    assert "the budget was spent" in table.to_text().splitlines()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([], ValueError, "got no comparisons"),
        ([seed(1), seed(1, name="b")], ValueError, "different tasks, explainers or metrics"),
        ([seed(1), seed(1, 2)], ValueError, "different tasks, explainers or metrics"),
        (seed(1), TypeError, "expected a list of Comparisons"),
        ([seed(1), 5], TypeError, "expected a list of Comparisons"),
    ],
)
def test_comparisons_that_do_not_belong_together(given, error, message: str) -> None:
    with pytest.raises(error, match=message):
        mean_over_seeds(given)
