"""One explainer by one metric: whose values count, and why figures are missing or undefined."""

import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from protoxai.comparison import compare
from protoxai.metrics import (
    ExplainedTask,
    PerImageMetric,
    register_metric,
    registered_metrics,
)
from protoxai.metrics.base import registry
from tests.comparison.toys import TASKS, Scripted, quiet, red, red_corner


def scripted_metric(monkeypatch: pytest.MonkeyPatch, measure) -> None:
    """Register the metric "mine", which does with a task what the function does."""
    monkeypatch.setattr(registry, "_REGISTERED", dict(registered_metrics()))

    @register_metric("mine")
    class Mine(PerImageMetric):
        figures: ClassVar = {"mine": True}

        def update(self, value: Tensor, index=None) -> None:
            self.add_values(value, index)

        def update_from(self, explained: ExplainedTask) -> None:
            measure(self, explained)


ONE = torch.ones(1)


@pytest.mark.parametrize(
    ("measure", "images"),
    [
        (lambda metric, explained: metric.update(ONE), "[0]"),
        (lambda metric, explained: metric.update(ONE, index=7), "[7]"),
        (lambda metric, explained: None, "[]"),
        (lambda metric, explained: metric.update(ONE.repeat(2), index=[4, 9]), "[4, 9]"),
    ],
    ids=["numbered", "of another image", "none", "of two images"],
)
def test_values_of_other_images_are_refused(measure, images, monkeypatch) -> None:
    scripted_metric(monkeypatch, measure)
    comparison = compare([Scripted("red", red)], TASKS, metrics=["mine", "cost"], log=quiet)
    assert comparison["red", "mine"] is None
    [failure] = comparison.failures()
    assert f"values of the tasks {images}, expected those of task 4" in failure
    assert "index=explained.index" in failure
    assert comparison["red", "forward_passes"].tasks == 2


def test_infinite_values_are_no_figures(monkeypatch, tmp_path) -> None:
    def measure(metric: PerImageMetric, explained: ExplainedTask) -> None:
        value = torch.tensor([math.inf if explained.index == 9 else 1.0])
        metric.update(value, index=explained.index)

    scripted_metric(monkeypatch, measure)
    comparison = compare([Scripted("red", red)], TASKS, metrics=["mine"], log=quiet)
    assert comparison["red", "mine"].tasks == 1
    [failure] = comparison.failures()
    assert failure.startswith("red, mine: ValueError: infinite for task 9")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_explanation_that_is_not_finite_is_a_failure(value: float) -> None:
    explainer = Scripted("broken", lambda images, region: images[:, 0] + value)
    comparison = compare([explainer], TASKS, metrics=["sparseness"], log=quiet)
    [failure] = comparison.failures()
    assert "NotFiniteError: the explanation of the image 4 has values" in failure


def test_undefined_figures_state_why_and_for_how_many() -> None:
    tasks = [red_corner(5, class_index=1), *TASKS]
    zero = Scripted("zero", lambda images, region: torch.zeros(len(images), 16, 20))
    names = ["sparseness", "cost"]
    comparison = compare([Scripted("red", red), zero], tasks, metrics=names, log=quiet)
    absent, zeros, memory = comparison.undefined()
    assert absent == (
        "sparseness: undefined on 1 task for all explainers (the model does not predict the class)"
    )
    assert zeros == "sparseness: undefined on 2 tasks for zero (the map is 0 everywhere)"
    assert memory == (
        "peak_memory: undefined on 3 tasks for all explainers (memory is not measured on cpu)"
    )
    assert zeros in comparison.to_text(details=True)
    assert zeros not in comparison.to_text()
