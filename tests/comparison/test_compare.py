import math
import re
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from protoxai.attribution import CaptumAttribution, PrototypeAttribution
from protoxai.comparison import Comparison, Task, compare
from protoxai.comparison.report.headlines import HEADLINE_METRICS, HEADLINES
from protoxai.metrics import (
    Complexity,
    ExplainedTask,
    PerImageMetric,
    register_metric,
    registered_metrics,
)
from protoxai.metrics.base import registry
from tests.comparison.toys import (
    TASKS,
    Scripted,
    colours,
    fails_on,
    measured,
    quiet,
    red,
    red_corner,
    same_values,
)
from tests.toys import small_model

FAST = ["sparseness", "pointing_game", "cost"]


def test_every_metric_measures_every_explainer() -> None:
    explainers = [
        Scripted("red", red, units=[8.0, -1.0, 1.0, 1.0]),
        CaptumAttribution("InputXGradient", colours()),
        PrototypeAttribution(small_model(num_classes=1).eval()),
    ]
    lines: list[str] = []
    comparison = compare(explainers, TASKS, metrics="all", log=lines.append)
    assert comparison.explainers == ["red", "InputXGradient", "groups"]
    names = [name for name in registered_metrics() if name != "part_intervention"]
    assert [r.metric for r in comparison.results] == names * 3
    assert comparison.left_out == (
        "part_intervention is left out: the data set does not redraw its images without a part",
    )
    assert comparison.failures() == [
        "InputXGradient, active_units: no units (n = 0)",
        "groups, target_sensitivity: the model has a single class (n = 0)",
    ]
    assert all(r.indices == (4, 9) for r in comparison.results if not r.failure)
    assert [line.split(":")[0] for line in lines[1:]] == ["task 1 of 2", "task 2 of 2"]
    assert lines[0].startswith("about ")

    undefined = {"active_units", "effective_units"}
    for explainer in comparison.explainers[:2]:
        for figure in set(comparison.figures) - {"peak_memory"}:
            value = comparison[explainer, figure]
            if explainer == "InputXGradient" and figure in undefined:
                assert value is None
            else:
                assert value.tasks == 2, (explainer, figure)
                assert math.isfinite(value.mean), (explainer, figure)
    # 0.9 of 10 is reached by the 8 and one of the two ones.
    assert comparison["red", "active_units"].mean == 2
    assert comparison["red", "pointing_game"].mean == 1
    assert comparison["red", "relevance_mass"].mean > 0.2
    assert comparison["red", "forward_passes"].mean == 0
    assert comparison["InputXGradient", "backward_passes"].mean == 1
    assert comparison["InputXGradient", "faithfulness"].mean > 0


def test_values_are_the_metrics_own() -> None:
    image = torch.zeros(1, 3, 1, 4)
    image[0, 0] = torch.tensor([3.0, 1.0, 0.0, 0.0])
    truth = torch.tensor([[[True, False, False, False]]])
    task = Task(0, image, truth, torch.tensor([0]))
    names = ["relevance_mass", "complexity", "sparseness"]
    comparison = compare([Scripted("red", red)], [task], metrics=names, log=quiet)
    assert [r.metric for r in comparison.results] == names
    assert comparison["red", "relevance_mass"].mean == 0.75 - 0.25
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert comparison["red", "complexity"].mean == pytest.approx(entropy)
    # Shares 0, 0, 1/4, 3/4 with weights 7/8, 5/8, 3/8, 1/8: 1 - 2 (3/32 + 3/32).
    assert comparison["red", "sparseness"].mean == pytest.approx(0.625)


def test_a_task_is_explained_once_for_all_metrics() -> None:
    explainer = Scripted("red", red)
    compare([explainer], TASKS, metrics=[*FAST, "deletion_insertion"], log=quiet)
    assert explainer.explained == 2


def test_the_region_is_the_models_own_prediction() -> None:
    regions = []

    def explain(images: Tensor, region: Tensor) -> Tensor:
        regions.append(region)
        return images[:, 0]

    compare([Scripted("red", explain)], TASKS, metrics=["sparseness"], log=quiet)
    assert all(torch.equal(r, task.truth) for r, task in zip(regions, TASKS, strict=True))


def test_a_failure_is_reported_and_the_others_continue() -> None:
    explainers = [Scripted("broken", fails_on(2)), Scripted("red", red)]
    comparison = compare(explainers, TASKS, metrics=["sparseness", "cost"], log=quiet)
    [failure] = comparison.failures()
    assert re.fullmatch(
        r"broken, sparseness: RuntimeError: it broke \(toys.py, line \d+\) \(n = 1\)", failure
    )
    assert measured(comparison) == {
        ("broken", "sparseness"): 1,
        ("broken", "cost"): 2,
        ("red", "sparseness"): 2,
        ("red", "cost"): 2,
    }
    assert failure in comparison.to_text()


def test_a_failing_metric_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise MemoryError

    line = broken.__code__.co_firstlineno + 1
    monkeypatch.setattr(Complexity, "update_from", broken)
    names = ["sparseness", "complexity", "cost"]
    comparison = compare([Scripted("red", red)], TASKS, metrics=names, log=quiet)
    assert [r.failure for r in comparison.results] == [
        "",
        f"MemoryError (test_compare.py, line {line})",
        "",
    ]
    assert [len(r.indices) for r in comparison.results] == [2, 0, 2]


class Fixed(nn.Module):
    """A model without parameters, which cannot be randomised."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def test_a_metric_that_a_model_does_not_allow_is_reported() -> None:
    names = ["parameter_randomisation", "sparseness"]
    comparison = compare([Scripted("red", red, Fixed())], TASKS, metrics=names, log=quiet)
    assert measured(comparison) == {
        ("red", "parameter_randomisation"): 0,
        ("red", "sparseness"): 2,
    }
    [failure] = comparison.failures()
    assert re.fullmatch(
        r"red, parameter_randomisation: ValueError: .* layers.* "
        r"\(parameter_randomisation.py, line \d+\) \(n = 0\)",
        failure,
    )
    described = ("parameter_randomisation", "randomisation_passed", "sparseness")
    assert comparison.figures == dict.fromkeys(described)


def test_a_class_that_the_model_does_not_predict_is_undefined_not_failed() -> None:
    nowhere = red_corner(5, class_index=1)
    explainers = [
        Scripted("red", red, units=[1.0, 2.0]),
        CaptumAttribution("InputXGradient", colours()),
        CaptumAttribution("FeatureAblation", colours(), segments=4),
        CaptumAttribution("KernelShap", colours(), segments=4),
    ]
    comparison = compare(explainers, [nowhere, TASKS[0]], metrics="all", log=quiet)
    assert all("no units" in failure for failure in comparison.failures())
    for result in comparison.results:
        for figure in result.figures if result.metric != "cost" else ():
            assert 5 not in result.values(figure), (result.explainer, figure)
    assert comparison["red", "sparseness"].undefined == 1


class Normalised(nn.Module):
    """A model with a normalisation, which behaves differently in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.colours = colours()
        self.normalisation = nn.BatchNorm2d(3, affine=False)
        self.normalisation.running_var.fill_(0.25)

    def forward(self, images: Tensor) -> Tensor:
        return self.normalisation(self.colours(images))


def test_models_are_compared_in_evaluation_mode_and_left_as_they_were() -> None:
    tables = []
    for training in (True, False):
        model = Normalised().train(training)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        explainer = CaptumAttribution("InputXGradient", model)
        metrics = [name for name in registered_metrics() if name != "cost"]
        tables.append(compare([explainer], TASKS, metrics=metrics, log=quiet))
        assert model.training == model.normalisation.training == training
        after = model.state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items())
    assert same_values(*tables)


def test_the_seed_decides_the_random_numbers() -> None:
    def infidelity(seed: int) -> Comparison:
        explainers = [Scripted("red", red)]
        return compare(explainers, TASKS, metrics=["infidelity"], seed=seed, log=quiet)

    assert same_values(infidelity(1), infidelity(1))
    assert not same_values(infidelity(1), infidelity(2))


def test_a_map_of_another_size_is_an_error() -> None:
    small = Scripted("small", lambda images, region: images[:, 0, ::4, ::4])
    comparison = compare([small], TASKS, metrics=["sparseness"], log=quiet)
    [line] = comparison.failures()
    assert "the map of small has the shape (1, 4, 5), expected (1, 16, 20): resize it" in line


def test_errors_that_name_their_image_are_cut_short() -> None:
    broken = Scripted("broken", lambda images, region: images[:, 0] * torch.nan)
    tasks = [red_corner(index) for index in range(8)]
    [line] = compare([broken], tasks, metrics=["sparseness"], log=quiet).failures()
    assert line.count("NotFiniteError") == 3
    assert line.endswith("; and 5 more (n = 0)")


def test_the_headline_figures_are_measured_by_default() -> None:
    comparison = compare([Scripted("red", red)], TASKS, log=quiet)
    assert {result.metric for result in comparison.results} == set(HEADLINE_METRICS)
    assert set(HEADLINES) <= set(comparison.figures)


def test_errors_name_what_is_wrong() -> None:
    explainers = [Scripted("red", red)]
    with pytest.raises(ValueError, match="two explainers are called 'red'"):
        compare([*explainers, Scripted("red", red)], TASKS, log=quiet)
    with pytest.raises(ValueError, match=r"'sparsenes' \(did you mean 'sparseness'\?\)"):
        compare(explainers, TASKS, metrics=["cost", "sparsenes"], log=quiet)
    with pytest.raises(ValueError, match=r"there is no metric 'xyz'; expected one of faithfulness"):
        compare(explainers, TASKS, metrics=["xyz"], log=quiet)
    with pytest.raises(ValueError, match="got no explainers"):
        compare([], TASKS, log=quiet)
    with pytest.raises(ValueError, match="got no tasks"):
        compare(explainers, [], log=quiet)
    assert explainers[0].explained == 0


def test_without_a_metric_there_is_nothing_to_compare(tmp_path) -> None:
    with pytest.raises(ValueError, match="metric"):
        compare([Scripted("red", red)], TASKS, metrics=[], output=tmp_path, log=quiet)


def test_an_index_has_one_task() -> None:
    twice = [red_corner(4), red_corner(4, class_index=2)]
    with pytest.raises(ValueError, match=r"2 tasks with the index 4.*image_index"):
        compare([Scripted("red", red)], twice, metrics=["cost"], log=quiet)


def test_a_registered_metric_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    # The registry of this test is a copy, so that others do not see the metric.
    known = dict(registered_metrics())
    monkeypatch.setattr(registry, "_REGISTERED", known)

    @register_metric("negative_share")
    class NegativeShare(PerImageMetric):
        figures: ClassVar = {"negative_share": False}
        higher_is_better = False

        def update(self, attribution: Tensor, index=None) -> None:
            self.add_values((attribution < 0).flatten(1).double().mean(1), index)

        def update_from(self, explained: ExplainedTask) -> None:
            self.update(explained.map, index=explained.index)

    def half(images: Tensor, region: Tensor) -> Tensor:
        return torch.where(torch.arange(20) < 10, -1.0, 1.0).expand(len(images), 16, 20)

    options = {"metrics": ["negative_share", "cost"], "log": quiet}
    comparison = compare([Scripted("half", half)], TASKS, **options)
    assert comparison.failures() == []
    assert comparison["half", "negative_share"][:1] == (0.5,)
    assert comparison.figures["negative_share"] is False
    with pytest.raises(ValueError, match=r"'negative_shar' \(did you mean 'negative_share'\?\)"):
        compare([Scripted("half", half)], TASKS, metrics=["negative_shar"], log=quiet)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"budget": math.nan}, ValueError, "budget is nan"),
        ({"budget": -1}, ValueError, "budget is -1"),
        ({"seed": 0.5}, ValueError, "seed is 0.5"),
        ({"metrics": "cost"}, TypeError, "metrics is 'cost', expected a list of names"),
    ],
)
def test_arguments_outside_their_range_are_errors(options, error, message) -> None:
    explainer = Scripted("red", red)
    with pytest.raises(error, match=message):
        compare([explainer], TASKS, **{"metrics": ["cost"], "log": quiet, **options})
    assert explainer.explained == 0
