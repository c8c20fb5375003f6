"""Sentences say what paired differences support, and nothing else."""

import re
from dataclasses import replace

import pytest

from protoxai.comparison import Comparison, TaskName
from protoxai.metrics.base.significance import holm
from tests.comparison.test_measurements import DIFFICULTY, TASKS, values
from tests.comparison.toys import result


def compared(
    *explainers: tuple[str, dict[int, float]],
    figure: str = "faithfulness",
    references: tuple[str, ...] = (),
) -> Comparison:
    return Comparison(
        tuple(result(name, figure, own, reference=name in references) for name, own in explainers)
    )


def test_overlapping_intervals_with_a_significant_difference_are_distinguished() -> None:
    comparison = compared(("groups", values(0.1)), ("Saliency", values(0.0)))
    first, second = comparison["groups", "faithfulness"], comparison["Saliency", "faithfulness"]
    assert second.high > first.low, "the intervals overlap"
    [sentence] = comparison.sentences()
    assert re.fullmatch(
        r"faithfulness: on 12 tasks, groups is more faithful than Saliency by "
        r"0\.\d+ \[0\.\d+, 0\.\d+\] \(p < 0\.001\)\. Differences of 0\.\d+ would be found four "
        r"times in five\.",
        sentence,
    )
    assert comparison.difference("groups", "Saliency", "faithfulness").mean == pytest.approx(
        0.1, abs=0.02
    )


def test_a_difference_that_is_not_significant_is_none() -> None:
    alike = {task: value * (1 + 0.3 * (-1) ** task) for task, value in enumerate(DIFFICULTY)}
    comparison = compared(("groups", dict(enumerate(DIFFICULTY))), ("Saliency", alike))
    [sentence] = comparison.sentences()
    assert re.match(
        r"faithfulness: on 12 tasks, groups is not distinguishable from Saliency \(-?0\.\d+ "
        r"\[-0\.\d+, 0\.\d+\]\)\. Differences of",
        sentence,
    )
    assert "more faithful" not in sentence
    assert "less faithful" not in sentence


def test_worse_equal_and_references_are_said() -> None:
    own = values(0.0)
    comparison = compared(
        ("groups", own),
        ("Saliency", values(0.3)),
        ("LayerGradCam", values(0.2)),
        ("logit_map", own),
        references=("logit_map",),
    )
    [sentence] = comparison.sentences()
    pattern = r"groups is less faithful than Saliency by 0\.[23]\d+ .* and LayerGradCam by 0\.[12]"
    assert re.search(pattern, sentence)
    assert "(all p ≤ 0.00" in sentence or "(all p < 0.001)" in sentence
    assert "equal to the model's own logit map on every task" in sentence


def test_a_first_explainer_without_a_value_is_named() -> None:
    comparison = compared(("groups", {}), ("Saliency", values(0.0)))
    assert comparison.sentences() == ["faithfulness: groups has no value."]
    assert compared(("groups", {}), ("Saliency", {})).sentences() == []


def test_lower_is_better_for_no_conclusive_figure() -> None:
    comparison = compared(("a", values(0.1)), ("b", values(0.0)), figure="seconds")
    assert comparison.sentences() == []


def test_below_five_groups_tasks_are_counted() -> None:
    comparison = compared(("groups", values(0.1)), ("Saliency", values(0.0)))
    videos = tuple(TaskName(task, task, 0, "abc"[task % 3]) for task in range(TASKS))
    [sentence] = replace(comparison, tasks=videos, group_noun="videos").sentences()
    assert sentence == (
        "faithfulness: on 12 tasks in 3 videos, groups is more faithful than Saliency on 12 of 12 "
        "tasks (0 worse, 0 equal); 3 videos allow no interval and no test."
    )


def test_few_tasks_of_one_pair_leave_the_others_their_test() -> None:
    comparison = compared(("groups", values(0.1)), ("Saliency", values(0.0)), ("mine", {0: 0.0}))
    [sentence] = comparison.sentences()
    assert re.match(
        r"faithfulness: groups is more faithful than Saliency by 0\.\d+ \[.*\], n = 12 "
        r"\(p < 0.001\); more faithful than mine on 1 of 1 task \(0 worse, 0 equal\); 1 task "
        r"allows no interval and no test\. Differences of",
        sentence,
    )


def test_what_so_few_groups_cannot_distinguish_is_said() -> None:
    own, other = ({task: shift + 0.001 * task**2 * shift for task in range(5)} for shift in (1, 2))
    [sentence] = compared(("groups", own), ("Saliency", other)).sentences()
    # On every task the other is better, but of 32 signs two are as far from 0.
    assert "groups is not distinguishable from Saliency" in sentence
    assert sentence.endswith(
        " With so few tasks, the test could not have distinguished any difference."
    )


def test_differences_between_models_are_corrected_for_their_number() -> None:
    results = [
        result(f"{model}: groups", "relevance_mass", values(0.005 * place, place), model=model)
        for place, model in enumerate("PQR")
    ]
    comparison = Comparison(tuple(results))
    pairs = [("P: groups", "Q: groups"), ("P: groups", "R: groups"), ("Q: groups", "R: groups")]
    corrected = comparison.corrected(pairs, "relevance_mass")
    raw = [comparison.difference(*pair, "relevance_mass").p for pair in pairs]
    assert [d.p for d in corrected.values()] == holm(raw)
    sentences = comparison.sentences()
    assert len(sentences) == 3
    apart = [d.p < 0.05 for d in corrected.values()]
    assert ["not distinguishable" not in sentence for sentence in sentences] == apart
    assert [p < 0.05 for p in raw] != apart, "the correction matters here"


def test_pairs_with_different_tasks_have_their_own_n() -> None:
    fewer = {task: value for task, value in values(0.0).items() if task < 9}
    comparison = compared(
        ("groups", values(0.1)), ("Saliency", fewer), ("LayerGradCam", values(0.0))
    )
    [sentence] = comparison.sentences()
    assert sentence.startswith("faithfulness: groups is more faithful than Saliency by ")
    assert ", n = 9 and LayerGradCam by" in sentence
    assert ", n = 12 (all p" in sentence


def test_models_are_compared_by_localisation_alone() -> None:
    results = [
        result(f"{model}: {name}", figure, values(shift), model=model)
        for figure in ("faithfulness", "relevance_mass")
        for model, name, shift in (("Ours", "groups", 0.3), ("Theirs", "Saliency", 0.0))
    ]
    sentences = Comparison(tuple(results)).sentences()
    assert len(sentences) == 1
    assert sentences[0].startswith(
        "Between models, relevance_mass: on 12 tasks, groups of Ours is better localised than "
        "Saliency of Theirs by 0.29"
    )


def test_many_equal_comparisons_hardly_ever_find_a_difference() -> None:
    """Holm keeps the share of families with a false claim near 5 %."""
    claims = 0
    for family in range(40):
        own = [(name, values(0.0, 6 * family + n)) for n, name in enumerate("abcdef")]
        [sentence] = compared(*own).sentences()
        claims += "more faithful" in sentence or "less faithful" in sentence
    assert claims <= 6
