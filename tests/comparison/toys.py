"""Explainers whose explanations are known, and tasks for them."""

import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from protoxai.attribution import AttributionMethod
from protoxai.comparison import Comparison, Result, Task

SIZE = (16, 20)


class Scripted(AttributionMethod):
    """Returns what a function returns, and counts the images that it explains."""

    def __init__(
        self,
        name: str,
        explain: Callable[[Tensor, Tensor], Tensor],
        model: nn.Module | None = None,
        units: Sequence[float] | None = None,
    ) -> None:
        super().__init__(name, colours() if model is None else model)
        self.explain = explain
        self.units = units
        self.explained = 0

    def attribute(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        self.explained += len(images)
        units = None if self.units is None else torch.tensor([self.units] * len(images))
        return self.explain(images, region), units


def red(images: Tensor, region: Tensor) -> Tensor:
    return images[:, 0]


def colours() -> nn.Conv2d:
    """A model that predicts class 0, 1 or 2 where a pixel is mostly red, green or blue."""
    model = nn.Conv2d(3, 3, 1, bias=False)
    model.weight.data = 5 * torch.eye(3)[:, :, None, None]
    return model.eval()


def red_corner(index: int, class_index: int = 0) -> Task:
    """A noisy blue picture with a red rectangle in its corner, which is the truth.

    Beside it is another class, and below it the background.
    """
    generator = torch.Generator().manual_seed(index)
    image = 0.3 * torch.rand(1, 3, *SIZE, generator=generator)
    truth = torch.zeros(1, *SIZE, dtype=torch.bool)
    truth[:, :4, :5] = True
    image[:, 0] += truth
    image[:, 2] += ~truth
    labels = torch.full_like(truth, 8, dtype=torch.int64)
    labels[:, :4], labels[truth] = 7, class_index
    own = torch.tensor([class_index])
    return Task(index, image, truth, own, labels=labels, background=8)


TASKS = [red_corner(index) for index in (4, 9)]


def result(
    explainer: str,
    metric: str,
    values: dict[int, float] | dict[int, tuple[float, ...]],
    figures: dict[str, bool | None] | None = None,
    failure: str = "",
    **fields: Any,
) -> Result:
    """The values of a metric on each task; a single figure has the metric's name."""
    return Result(
        explainer=explainer,
        metric=metric,
        figures={metric: True} if figures is None else figures,
        indices=tuple(values),
        rows=tuple(v if isinstance(v, tuple) else (v,) for v in values.values()),
        seconds=0.5,
        failure=failure,
        **fields,
    )


def quiet(line: str) -> None:
    pass


def measured(comparison: Comparison) -> dict[tuple[str, str], int]:
    """The number of images in each result."""
    return {(r.explainer, r.metric): len(r.indices) for r in comparison.results}


def same_values(one: Comparison, other: Comparison) -> bool:
    def values(comparison: Comparison) -> list:
        return [(r.explainer, r.metric, r.indices, repr(r.rows)) for r in comparison.results]

    return values(one) == values(other)


def fails_on(number: int):
    """An explanation that fails at the call of that number, counted from 1."""
    calls = []

    def explain(images: Tensor, region: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == number:
            raise RuntimeError("it broke\nin several lines")
        return images[:, 0]

    return explain


class Clock:
    """A clock, and explainers that take a known time for each image; the first, a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str = "slow") -> None:
        self.now = 100.0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        for module in ("measure", "measurement"):
            monkeypatch.setattr(sys.modules[f"protoxai.comparison.{module}"], "time", clock)
        self.explainer = self.takes(1, name)

    def takes(self, seconds: float, name: str) -> Scripted:
        """Return an explainer that takes so many seconds for each image."""

        def explain(images: Tensor, region: Tensor) -> Tensor:
            self.now += seconds * len(images)
            return images[:, 0]

        return Scripted(name, explain)
