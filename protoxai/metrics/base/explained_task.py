"""The input that every metric of a comparison takes: a task and its explanation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from protoxai.attribution import Cost
    from protoxai.metrics.explanation.part_intervention import PartDrops


class UndefinedError(ValueError):
    """Error of a metric that is not defined for an explainer, such as one without units."""


@dataclass(frozen=True)
class ExplainedTask:
    """A task (an image and a class), what the model predicts for it and its explanation.

    All tensors are on the model's device and have a batch axis of 1.

    Attributes:
        index: Number of the task, by which its values are kept.
        image: Normalised image, (1, 3, H, W).
        class_index: Class to explain, int64 (1,).
        truth: Pixels that are labelled as the class, bool (1, H, W).
        region: Pixels that the model predicts as the class, which are explained, bool (1, H, W).
        map: Attribution map, signed, (1, H, W).
        units: Evidence of the explainer's units, signed, (1, U); None if it has no units.
        cost: Cost of the explanation.
        model: Model that is explained.
        softmax: Function of images (n, 3, H, W) that returns the class's mean softmax over the
            region, (n,). It does not score an image twice.
        logit: Function of images (n, 3, H, W) that returns the class's mean logit over the region,
            (n,). It does not score an image twice.
        explain: Function of images (n, 3, H, W), regions (n, H, W) and classes (n,) that returns
            maps (n, H, W). It runs the explainer on the model as the model is when called.
        image_index: Data set index of the image, which several tasks may share; None if it is the
            number of the task.
        group: Group of the image, such as its video; None if the image is its own.
        labels: Labels of the whole image, int64 (1, H, W); None if only the truth is known.
        ignore_index: Label of pixels that do not count.
        background: Class of the background; None if there is none.
        runner_up: Other class with the highest mean logit over the region, int64 (1,); None if the
            model has no other class.
        part_drops: Function that returns the parts that can be removed from the image, and the drop
            of the class's logit without each; None if the image cannot be redrawn. It is computed
            once for all explainers of the model.
    """

    index: int
    image: Tensor
    class_index: Tensor
    truth: Tensor
    region: Tensor
    map: Tensor
    units: Tensor | None
    cost: Cost
    model: nn.Module
    softmax: Callable[[Tensor], Tensor]
    logit: Callable[[Tensor], Tensor]
    explain: Callable[[Tensor, Tensor, Tensor], Tensor]
    image_index: int | None = None
    group: int | str | None = None
    labels: Tensor | None = None
    ignore_index: int = 255
    background: int | None = None
    runner_up: Tensor | None = None
    part_drops: Callable[[], PartDrops] | None = None

    @property
    def arguments(self) -> tuple[Tensor, Tensor]:
        """Region and class, the arguments of :attr:`explain` beside the images."""
        return self.region, self.class_index

    def map_of(self, class_index: Tensor | None = None) -> Tensor:
        """Return the explainer's map of another class over the same region of the image, (1, H, W).

        It is computed at each call.

        Args:
            class_index: Class to explain, int64 (1,); by default the runner-up.

        Raises:
            UndefinedError: If the model has no other class.
        """
        other = self.runner_up if class_index is None else class_index
        if other is None:
            raise UndefinedError("the model has a single class")
        return self.explain(self.image, self.region, other)
