"""Estimates over each explainer's own tasks, and differences over the tasks of both."""

import math
from dataclasses import replace

import pytest
import torch

from protoxai.comparison import Comparison, TaskName
from protoxai.metrics import estimate
from protoxai.metrics.base.paired import paired_difference
from protoxai.metrics.base.significance import holm, resolvable_difference
from tests.comparison.toys import result

NAN = math.nan
TASKS = 12
DIFFICULTY = torch.rand(TASKS, generator=torch.Generator().manual_seed(0)).double().tolist()


def values(shift: float, seed: int = 0) -> dict[int, float]:
    """Values that depend on the task above all, so that all intervals overlap."""
    generator = torch.Generator().manual_seed(10_000 * seed + round(10_000 * shift))
    spread = 0.01 * torch.randn(TASKS, generator=generator).double()
    return {task: DIFFICULTY[task] + shift + float(spread[task]) for task in range(TASKS)}


def test_few_tasks_have_no_interval() -> None:
    value = Comparison((result("a", "m", {3: 1.0, 5: 1.0}),))["a", "m"]
    assert (value.mean, value.tasks, value.groups, value.undefined) == (1.0, 2, 2, 0)
    assert not value.has_interval


def test_the_interval_is_that_of_the_mean() -> None:
    numbers = {0: 0.0, 1: 0.25, 2: 0.5, 3: 1.0, 4: 0.75}
    value = Comparison((result("a", "m", numbers),))["a", "m"]
    assert value == estimate(torch.tensor(list(numbers.values())))
    assert value.low < value.mean == 0.5 < value.high


def test_an_undefined_task_is_not_taken_from_the_others() -> None:
    comparison = Comparison(
        (
            result("a", "m", {0: 1.0, 1: 3.0, 2: 8.0}),
            result("b", "m", {0: 2.0, 1: NAN, 2: 2.0}),
        )
    )
    first, second = comparison["a", "m"], comparison["b", "m"]
    assert (first.mean, first.tasks, first.undefined) == (4.0, 3, 0)
    assert (second.mean, second.tasks, second.undefined) == (2.0, 2, 1)
    # The pair is formed of tasks 0 and 2.
    difference = comparison.difference("a", "b", "m")
    assert (difference.mean, difference.tasks) == ((-1.0 + 6.0) / 2, 2)
    assert (difference.wins, difference.ties, difference.losses) == (1, 0, 1)


def test_no_value_and_no_task_in_common() -> None:
    results = (result("a", "m", {0: 1.0, 1: NAN}), result("b", "m", {0: NAN, 1: 2.0}))
    comparison = Comparison((*results, result("c", "m", {}), result("d", "m", {0: NAN})))
    assert comparison["c", "m"] is comparison["d", "m"] is comparison["x", "m"] is None
    assert comparison.difference("a", "b", "m").tasks == 0
    assert comparison.family("a", ["b", "c", "d"], "m") == {}
    assert comparison.best(comparison.blocks()[0], "m") == set()


def test_figures_of_one_metric_are_defined_apart() -> None:
    cost = {"passes": False, "memory": None}
    comparison = Comparison((result("a", "cost", {3: (1.0, NAN), 5: (1.0, 8.0)}, cost),))
    assert comparison["a", "passes"].tasks == 2
    assert comparison["a", "memory"].mean == 8.0
    assert comparison["a", "memory"].undefined == 1


def test_differences_are_paired_on_tasks_in_groups() -> None:
    one, other = values(0.0), values(0.1)
    names = tuple(TaskName(task, task, 0, task // 2) for task in range(TASKS))
    comparison = Comparison((result("a", "m", one), result("b", "m", other)), tasks=names)
    expected = paired_difference(
        torch.tensor(list(one.values())),
        torch.tensor(list(other.values())),
        groups=[name.group for name in names],
    )
    assert comparison.difference("a", "b", "m") == expected
    assert expected.groups == 6


def test_where_lower_is_better_the_lower_value_wins() -> None:
    results = tuple(result(n, "m", {0: v}, {"m": False}) for n, v in (("a", 1.0), ("b", 2.0)))
    difference = Comparison(results).difference("a", "b", "m")
    assert (difference.mean, difference.wins) == (-1.0, 1)


def test_what_does_not_exist_is_named() -> None:
    comparison = Comparison((result("groups", "faithfulness", {0: 1.0}),))
    with pytest.raises(ValueError, match=r"'group' \(did you mean 'groups'\?\)"):
        comparison.difference("group", "groups", "faithfulness")
    with pytest.raises(ValueError, match=r"no 'faithful'.*expected one of faithfulness"):
        comparison.difference("groups", "groups", "faithful")


def test_p_values_of_a_family_are_corrected() -> None:
    results = [result("a", "m", values(0.0)), result("b", "m", values(0.004))]
    comparison = Comparison((*results, result("c", "m", values(0.02))))
    family = comparison.family("a", ["b", "c"], "m")
    raw = [comparison.difference("a", other, "m").p for other in "bc"]
    assert [difference.p for difference in family.values()] == holm(raw)
    assert holm(raw) != raw


def block_of(*shifts: float, references: int = 0, up: bool | None = True) -> Comparison:
    names = "abcdef"[: len(shifts)]
    return Comparison(
        tuple(
            result(name, "m", values(s), {"m": up}, reference=place >= len(shifts) - references)
            for place, (name, s) in enumerate(zip(names, shifts, strict=True))
        )
    )


@pytest.mark.parametrize(
    ("comparison", "best"),
    [
        (block_of(0.0, 0.3), {"b"}),
        (block_of(0.0, 0.0001), {"a", "b"}),
        (block_of(0.0, 0.3, up=False), {"a"}),
        (block_of(0.0, 0.3, up=None), set()),
        (block_of(0.3), set()),
        (block_of(0.0, 0.1, 0.9, references=1), {"b"}),
        (block_of(0.2, 0.9, 0.9, references=2), set()),
    ],
    ids=["distinguished", "alike", "lower", "no direction", "alone", "a reference", "references"],
)
def test_the_best_and_what_is_like_it(comparison: Comparison, best: set[str]) -> None:
    first = comparison["a", "m"]
    assert all(
        first.low < comparison[name, "m"].high
        for name in comparison.explainers
        if not comparison.blocks()[0].references
    ), "the intervals overlap"
    assert comparison.best(comparison.blocks()[0], "m") == best


def test_below_five_groups_none_is_best() -> None:
    comparison = Comparison(
        (result("a", "m", {0: 1.0, 1: 1.1}), result("b", "m", {0: 5.0, 1: 5.1}))
    )
    assert comparison.best(comparison.blocks()[0], "m") == set()


def test_few_groups_of_one_explainer_leave_the_others_their_marks() -> None:
    results = [result("a", "m", values(0.3)), result("b", "m", values(0.0))]
    comparison = Comparison((*results, result("c", "m", {0: 5.0, 1: 5.1})))
    assert comparison.best(comparison.blocks()[0], "m") == {"a"}
    family = comparison.family("a", ["b", "c"], "m")
    # A pair that is not tested does not count.
    assert family["b"].p == comparison.difference("a", "b", "m").p
    assert math.isnan(family["c"].p)


def test_where_no_p_value_can_be_below_the_level_none_is_best() -> None:
    def of(tasks: int) -> Comparison:
        names = "abcde"
        return Comparison(
            tuple(
                result(name, "m", {t: 0.1 * n + 0.001 * t * n for t in range(tasks)})
                for n, name in enumerate(names)
            )
        )

    # Four differences: 4 * 2 / 2**7 is above 5 %, 4 * 2 / 2**8 is not.
    few, enough = of(7), of(8)
    assert few.best(few.blocks()[0], "m") == set()
    assert enough.best(enough.blocks()[0], "m") == {"e"}
    assert math.isnan(few.family("a", ["b", "c", "d", "e"], "m")["b"].resolvable)


def test_a_better_mean_over_easier_tasks_is_not_best() -> None:
    easy = {task: 0.9 + 0.001 * task for task in range(6)}
    both = {task: value + 0.05 + 0.001 * task for task, value in easy.items()}
    comparison = Comparison(
        (result("a", "m", easy), result("b", "m", {**both, **dict.fromkeys(range(6, 12), 0.1)}))
    )
    assert comparison["a", "m"].mean > comparison["b", "m"].mean
    assert comparison.best(comparison.blocks()[0], "m") == {"b"}


def test_the_resolvable_difference_of_a_family_is_larger() -> None:
    results = [result(name, "m", values(0.0, seed)) for seed, name in enumerate("abcdefghij")]
    comparison = Comparison(tuple(results))
    single = comparison.difference("a", "b", "m")
    family = comparison.family("a", list("bcdefghij"), "m")
    half = (single.high - single.low) / 2
    assert family["b"].resolvable == resolvable_difference(half, TASKS, 9)
    assert family["b"].resolvable > 1.3 * single.resolvable


def test_blocks_are_models_with_their_references_last() -> None:
    comparison = Comparison(
        tuple(
            result(f"{model}: {name}", "m", {0: 1.0}, model=model, reference=name == "edges")
            for model in ("ours", "theirs")
            for name in ("groups", "edges", "Saliency")
        )
    )
    ours, theirs = comparison.blocks()
    assert (ours.model, theirs.model) == ("ours", "theirs")
    assert ours.explainers == ("ours: groups", "ours: Saliency")
    assert ours.references == ("ours: edges",)
    assert ours.chosen == "ours: groups"
    assert [ours.short(name) for name in ours.explainers] == ["groups", "Saliency"]


def test_why_figures_are_undefined_is_stated_once_for_all() -> None:
    undefined = {0: NAN, 1: 2.0, 2: NAN}
    results = [
        replace(result(name, "m", undefined), reasons=("empty", "", "constant")) for name in "ab"
    ]
    assert Comparison(tuple(results)).undefined() == [
        "m: undefined on 1 task for all explainers (empty)",
        "m: undefined on 1 task for all explainers (constant)",
    ]


def test_why_figures_are_undefined_is_stated_once_for_a_model() -> None:
    names = {"ours": ("groups", "edges"), "theirs": ("Saliency", "edges")}
    results = [
        replace(
            result(f"{model}: {name}", figure, {0: NAN, 1: value}, model=model),
            reasons=("absent", "" if value == value else "zero"),
        )
        for figure in ("one", "other")
        for model, methods in names.items()
        for name, value in zip(methods, (1.0, 2.0 if model == "ours" else NAN), strict=True)
    ]
    assert Comparison(tuple(results)).undefined() == [
        "one, other: undefined on 1 task for all explainers (absent)",
        "one, other: undefined on 1 task for theirs: edges (zero)",
    ]
    many = [
        result(f"ours: {name}", "one", {0: 1.0 if name == "edges" else NAN}, model="ours")
        for name in ("groups", "prototypes", "Saliency", "edges")
    ]
    other = result("theirs: Saliency", "one", {0: 1.0}, model="theirs")
    assert Comparison((*many, other)).undefined() == [
        "one: undefined on 1 task for all of ours but edges (the metric has no value)"
    ]
    absent = [replace(r, reasons=("absent" * (r.model == "ours"), "")) for r in results]
    assert Comparison(tuple(absent)).undefined() == [
        "one, other: undefined on 1 task for all of ours (absent)",
        (
            "one, other: undefined on 1 task for theirs: Saliency, on 2 tasks for theirs: edges "
            "(the metric has no value)"
        ),
    ]


def test_failures_alike_are_one_line() -> None:
    results = [result(name, "m", {0: 1.0}, failure="out of time") for name in "ab"]
    units = [
        result(name, "units", {}, failure="no units", reference=name == "edges")
        for name in ("a", "edges")
    ]
    broken = result("noise", "m", {}, failure="it broke", reference=True, complete=False)
    # That a reference has no units is no failure; that it breaks is one.
    assert Comparison((*results, *units, broken)).failures() == [
        "a, b, m: out of time (n = 1)",
        "a, units: no units (n = 0)",
        "noise, m: it broke (n = 0)",
    ]


@pytest.mark.parametrize("rows", [((1.0,),), ((1.0, 2.0), (1.0,)), ((1.0,), (1.0,), (1.0,))])
def test_rows_that_do_not_fit_the_tasks_are_an_error(rows) -> None:
    with pytest.raises(ValueError, match=r"a, m: got . rows .* expected a row of all figures"):
        replace(result("a", "m", {0: 1.0, 1: 2.0}), rows=rows)
