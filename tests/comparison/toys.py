"""Explainers whose answers are known before they are asked."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from protoxai.attribution import AttributionMethod
from protoxai.comparison import Cell, Comparison, Question

SIZE = (16, 20)


class Scripted(AttributionMethod):
    """Says what a function says, and counts how many images it was asked for."""

    def __init__(
        self,
        name: str,
        say: Callable[[Tensor, Tensor], Tensor],
        model: nn.Module | None = None,
        units: Sequence[float] | None = None,
    ) -> None:
        super().__init__(name, colours() if model is None else model)
        self.say = say
        self.units = units
        self.asked = 0

    def attribute(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        self.asked += len(images)
        units = None if self.units is None else torch.tensor([self.units] * len(images))
        return self.say(images, region), units


def red(images: Tensor, region: Tensor) -> Tensor:
    return images[:, 0]


def colours() -> nn.Conv2d:
    """Class 0 where a pixel is rather red, class 1 where it is green, class 2 where blue."""
    model = nn.Conv2d(3, 3, 1, bias=False)
    model.weight.data = 5 * torch.eye(3)[:, :, None, None]
    return model.eval()


def red_corner(index: int, class_index: int = 0) -> Question:
    """A blue picture, noisy, with a red rectangle in its corner, which is the truth."""
    generator = torch.Generator().manual_seed(index)
    image = 0.3 * torch.rand(1, 3, *SIZE, generator=generator)
    truth = torch.zeros(1, *SIZE, dtype=torch.bool)
    truth[:, :4, :5] = True
    image[:, 0] += truth
    image[:, 2] += ~truth
    return Question(index, image, truth, torch.tensor([class_index]))


QUESTIONS = [red_corner(index) for index in (4, 9)]


def cell(
    explainer: str,
    metric: str,
    values: dict[int, float] | dict[int, tuple[float, ...]],
    directions: dict[str, bool | None] | None = None,
    failure: str = "",
) -> Cell:
    """What a metric found on each image; a single figure has the metric's name."""
    return Cell(
        explainer=explainer,
        metric=metric,
        directions={metric: True} if directions is None else directions,
        indices=tuple(values),
        rows=tuple(v if isinstance(v, tuple) else (v,) for v in values.values()),
        seconds=0.5,
        failure=failure,
        complete=not failure,
    )


def quiet(line: str) -> None:
    pass


def measured(comparison: Comparison) -> dict[tuple[str, str], int]:
    """How many images each cell has."""
    return {(cell.explainer, cell.metric): len(cell.indices) for cell in comparison.cells}


def same_values(one: Comparison, other: Comparison) -> bool:
    def values(comparison: Comparison) -> list:
        return [(c.explainer, c.metric, c.indices, repr(c.rows)) for c in comparison.cells]

    return values(one) == values(other)


def fails_on(number: int):
    """An explainer's words: an error at the call of that number, counted from 1."""
    calls = []

    def say(images: Tensor, region: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == number:
            raise RuntimeError("it broke\nin several lines")
        return images[:, 0]

    return say


class Clock:
    """An explainer of its own, which takes a second for each image."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str = "slow") -> None:
        self.now = 100.0
        monkeypatch.setattr(
            "protoxai.comparison.compare.time", SimpleNamespace(monotonic=lambda: self.now)
        )
        self.explainer = Scripted(name, self._say)

    def _say(self, images: Tensor, region: Tensor) -> Tensor:
        self.now += len(images)
        return images[:, 0]
