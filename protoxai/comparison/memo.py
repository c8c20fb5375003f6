"""What explainers say to the questions, and what their models do: each found out once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from protoxai.attribution import Attribution, AttributionMethod, SegmentationTarget
from protoxai.comparison.fingerprint import fingerprint
from protoxai.comparison.tasks import Question


class Remembered:
    """A score of images that scores no image twice.

    The explainers of a model are tried on much the same images: the whole and the blurred one,
    those between in a random order, those under noise, and where two maps agree all others.

    Args:
        score: from images (n, 3, H, W) to one number each (n,), whatever else is in the batch.

    Example:
        >>> import torch
        >>> score = Remembered(lambda images: images.sum((1, 2, 3)))
        >>> score(torch.ones(2, 3, 1, 1)), score(torch.zeros(1, 3, 1, 1))
        (tensor([3., 3.]), tensor([0.]))
    """

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        self._score = score
        self._known: dict[str, Tensor] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Return the scores (n,), detached."""
        names = [fingerprint([image]) for image in images]
        new = {name: row for row, name in enumerate(names) if name not in self._known}
        if new:
            scores = self._score(images[list(new.values())]).detach()
            self._known.update(zip(new, scores, strict=True))
        return torch.stack([self._known[name] for name in names])


class Case:
    """A question as a model sees it, the same for all explainers of that model.

    Attributes:
        question: on the model's device.
        region: the pixels that the model predicts as the class, bool (1, H, W).
        softmax: the region's mean softmax of the class (n,), for images like the question's.
        logit: its mean logit.
    """

    def __init__(self, model: nn.Module, question: Question) -> None:
        parameter = next(model.parameters(), None)
        self.question = question if parameter is None else question.to(parameter.device)
        self.region = self.question.region(model)
        self.softmax, self.logit = (
            Remembered(partial(self._score, SegmentationTarget(model, output=output)))
            for output in ("softmax", "logits")
        )

    @property
    def arguments(self) -> tuple[Tensor, Tensor]:
        """The region and the class, as explainers take them."""
        return self.region, self.question.class_index

    def _score(self, target: SegmentationTarget, images: Tensor) -> Tensor:
        arguments = (part.expand(len(images), *part.shape[1:]) for part in self.arguments)
        score: Tensor = target(images, *arguments)
        return score


@dataclass(frozen=True)
class Answer:
    """What an explainer said to a question.

    Attributes:
        explainer: who said it.
        case: to what.
        attribution: what it said.
    """

    explainer: AttributionMethod
    case: Case
    attribution: Attribution

    def explain(self, images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
        """Return the explainer's map (B, H, W) for other images, or from another model."""
        return self.explainer(images, region, class_index).map


class Cases:
    """Questions as models see them, each looked at only if needed."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = questions
        self._known: dict[tuple[nn.Module, int], Case] = {}

    def __call__(self, model: nn.Module, number: int) -> Case:
        """Return the question of that number as the model sees it."""
        key = model, number
        if key not in self._known:
            self._known[key] = Case(model, self.questions[number])
        return self._known[key]


class Answers:
    """An explainer's answers, each asked for only if needed."""

    def __init__(self, explainer: AttributionMethod, cases: Cases) -> None:
        self.explainer = explainer
        self._cases = cases
        self._known: dict[int, Answer] = {}

    def __len__(self) -> int:
        return len(self._cases.questions)

    def __getitem__(self, number: int) -> Answer:
        if number not in self._known:
            case = self._cases(self.explainer.model, number)
            found = self.explainer(case.question.image, *case.arguments)
            self._known[number] = Answer(self.explainer, case, found)
        return self._known[number]
