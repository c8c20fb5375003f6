import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from protoxai.attribution import CaptumAttribution, PrototypeAttribution
from protoxai.comparison import METRICS, Comparison, Question, compare
from tests.comparison.toys import (
    QUESTIONS,
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
from tests.toys import small_model

FAST = ["sparseness", "pointing_game", "cost"]


def test_every_metric_measures_every_explainer() -> None:
    explainers = [
        Scripted("red", red, units=[8.0, -1.0, 1.0, 1.0]),
        CaptumAttribution("InputXGradient", colours()),
        PrototypeAttribution(small_model(num_classes=1).eval()),
    ]
    lines: list[str] = []
    comparison = compare(explainers, QUESTIONS, say=lines.append)
    assert comparison.explainers == ["red", "InputXGradient", "groups"]
    assert [cell.metric for cell in comparison.cells] == list(METRICS) * 3
    assert comparison.failures() == [
        "InputXGradient, active_units: no units",
    ]
    assert all(
        cell.indices == (4, 9) and cell.complete for cell in comparison.cells if not cell.failure
    )
    assert len(lines) == len(comparison.cells)
    assert lines[0].startswith("red, deletion_insertion: 2 images in ")

    undefined = {"active_units", "effective_units"}
    for explainer in comparison.explainers[:2]:
        for figure in set(comparison.figures) - {"peak_memory"}:
            found = comparison[explainer, figure]
            if explainer == "InputXGradient" and figure in undefined:
                assert found is None
            else:
                assert found.images == 2, (explainer, figure)
                assert math.isfinite(found.mean), (explainer, figure)
    # 0.9 of 10 is reached by the 8 and one of the two ones.
    assert comparison["red", "active_units"].mean == 2
    assert comparison["red", "pointing_game"].mean == 1
    assert comparison["red", "relevance_mass"].mean > 0.3
    assert comparison["red", "forward_passes"].mean == 0
    assert comparison["InputXGradient", "backward_passes"].mean == 1
    assert comparison["InputXGradient", "deletion_gap"].mean > 0


def test_values_are_the_metrics_own() -> None:
    image = torch.zeros(1, 3, 1, 4)
    image[0, 0] = torch.tensor([3.0, 1.0, 0.0, 0.0])
    truth = torch.tensor([[[True, False, False, False]]])
    question = Question(0, image, truth, torch.tensor([0]))
    names = ["relevance_mass", "complexity", "sparseness"]
    comparison = compare([Scripted("red", red)], [question], metrics=names, say=quiet)
    assert [cell.metric for cell in comparison.cells] == names
    assert comparison["red", "relevance_mass"].mean == 0.75
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert comparison["red", "complexity"].mean == pytest.approx(entropy)
    # Shares 0, 0, 1/4, 3/4 with weights 7/8, 5/8, 3/8, 1/8: 1 - 2 (3/32 + 3/32).
    assert comparison["red", "sparseness"].mean == pytest.approx(0.625)


def test_an_answer_is_given_once_for_all_metrics() -> None:
    explainer = Scripted("red", red)
    compare([explainer], QUESTIONS, metrics=[*FAST, "deletion_insertion"], say=quiet)
    assert explainer.asked == 2


def test_the_region_is_the_models_own_prediction() -> None:
    regions = []

    def say(images: Tensor, region: Tensor) -> Tensor:
        regions.append(region)
        return images[:, 0]

    compare([Scripted("red", say)], QUESTIONS, metrics=["sparseness"], say=quiet)
    assert all(torch.equal(r, q.truth) for r, q in zip(regions, QUESTIONS, strict=True))


def test_a_failing_cell_is_reported_and_the_others_go_on() -> None:
    explainers = [Scripted("broken", fails_on(2)), Scripted("red", red)]
    comparison = compare(explainers, QUESTIONS, metrics=["sparseness", "cost"], say=quiet)
    assert comparison.failures() == ["broken, sparseness: RuntimeError: it broke"]
    assert measured(comparison) == {
        ("broken", "sparseness"): 1,
        ("broken", "cost"): 2,
        ("red", "sparseness"): 2,
        ("red", "cost"): 2,
    }
    assert "broken, sparseness: RuntimeError: it broke" in comparison.to_text()


def test_a_failing_metric_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setitem(METRICS, "complexity", replace(METRICS["complexity"], update=broken))
    names = ["sparseness", "complexity", "cost"]
    comparison = compare([Scripted("red", red)], QUESTIONS, metrics=names, say=quiet)
    assert [cell.failure for cell in comparison.cells] == ["", "MemoryError: ", ""]
    assert [len(cell.indices) for cell in comparison.cells] == [2, 0, 2]


class Fixed(nn.Module):
    """Nothing in it could be randomised."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def test_a_metric_that_a_model_does_not_allow_is_reported() -> None:
    names = ["parameter_randomisation", "sparseness"]
    comparison = compare([Scripted("red", red, Fixed())], QUESTIONS, metrics=names, say=quiet)
    assert measured(comparison) == {
        ("red", "parameter_randomisation"): 0,
        ("red", "sparseness"): 2,
    }
    [failure] = comparison.failures()
    assert failure.startswith("red, parameter_randomisation: ValueError: 0 layers")
    assert comparison.figures == {"parameter_randomisation": False, "sparseness": True}


def test_a_class_that_the_model_does_not_predict_is_undefined_not_failed() -> None:
    nowhere = red_corner(5, class_index=1)
    explainers = [
        Scripted("red", red, units=[1.0, 2.0]),
        CaptumAttribution("InputXGradient", colours()),
        CaptumAttribution("FeatureAblation", colours(), segments=4),
        CaptumAttribution("KernelShap", colours(), segments=4),
    ]
    comparison = compare(explainers, [nowhere, QUESTIONS[0]], say=quiet)
    assert all("no units" in failure for failure in comparison.failures())
    for cell in comparison.cells:
        for figure in cell.directions if cell.metric != "cost" else ():
            assert 5 not in cell.values(figure), (cell.explainer, figure)
    assert comparison["red", "sparseness"].undefined == 1


class Normalised(nn.Module):
    """A model that counts what it sees in training mode, and then behaves otherwise."""

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
        metrics = [name for name in METRICS if name != "cost"]
        tables.append(compare([explainer], QUESTIONS, metrics=metrics, say=quiet))
        assert model.training == model.normalisation.training == training
        after = model.state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items())
    assert same_values(*tables)


def test_the_seed_decides_what_is_drawn() -> None:
    def infidelity(seed: int) -> Comparison:
        explainers = [Scripted("red", red)]
        return compare(explainers, QUESTIONS, metrics=["infidelity"], seed=seed, say=quiet)

    assert same_values(infidelity(1), infidelity(1))
    assert not same_values(infidelity(1), infidelity(2))


def test_the_budget_ends_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Clock(monkeypatch).explainer
    questions = [red_corner(index) for index in range(5)]
    names = ["sparseness", "complexity"]
    comparison = compare([slow], questions, metrics=names, budget=2.5, say=quiet)
    first, second = comparison.cells
    assert first.indices == (0, 1, 2)
    assert first.failure == "2.5 s were over after 3 images"
    assert first.seconds == 3
    assert not first.complete
    # What was explained for the first metric costs the second nothing; then two images fit, and
    # all are done when the budget is over.
    assert second.indices == (0, 1, 2, 3, 4)
    assert second.failure == ""
    assert comparison.failures() == ["slow, sparseness: 2.5 s were over after 3 images"]


def test_wrong_questions_name_what_is_wrong() -> None:
    explainers = [Scripted("red", red)]
    with pytest.raises(ValueError, match="two explainers are called 'red'"):
        compare([*explainers, Scripted("red", red)], QUESTIONS, say=quiet)
    with pytest.raises(ValueError, match=r"'sparsenes' \(did you mean 'sparseness'\?\)"):
        compare(explainers, QUESTIONS, metrics=["cost", "sparsenes"], say=quiet)
    with pytest.raises(ValueError, match=r"there is no metric 'xyz'; there are deletion_insertion"):
        compare(explainers, QUESTIONS, metrics=["xyz"], say=quiet)
    with pytest.raises(ValueError, match="0 explainers and 2 questions"):
        compare([], QUESTIONS, say=quiet)
    with pytest.raises(ValueError, match="1 explainers and 0 questions"):
        compare(explainers, [], say=quiet)
    assert explainers[0].asked == 0


def test_without_a_metric_there_is_nothing_to_compare(tmp_path) -> None:
    with pytest.raises(ValueError, match="metric"):
        compare([Scripted("red", red)], QUESTIONS, metrics=[], output=tmp_path, say=quiet)


def test_an_image_is_asked_about_once() -> None:
    twice = [red_corner(4), red_corner(4, class_index=2)]
    with pytest.raises(ValueError, match="image 4"):
        compare([Scripted("red", red)], twice, metrics=["cost"], say=quiet)
