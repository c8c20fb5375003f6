"""Explainers whose answers are known before they are asked."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from protoxai.attribution import AttributionMethod
from protoxai.comparison import Cell, Question

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

    def _explain(
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
