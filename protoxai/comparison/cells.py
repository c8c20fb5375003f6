"""How each metric takes in an explainer's answer to a question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from protoxai.attribution import Attribution, AttributionMethod, SegmentationTarget
from protoxai.comparison.questions import Question
from protoxai.metrics import (
    ActiveUnits,
    Complexity,
    DeletionInsertion,
    ExplanationCost,
    Infidelity,
    MaxSensitivity,
    ParameterRandomisation,
    PointingGame,
    RelevanceMass,
    ScaleSpectrum,
    Sparseness,
)
from protoxai.metrics.per_image import PerImageMetric
from protoxai.metrics.randomisation import randomisation_layers

RANDOMISED_STEPS = 4


@dataclass(frozen=True)
class Answer:
    """What an explainer said to a question.

    Attributes:
        explainer: who said it.
        question: to what.
        region: the pixels its model predicts as the class, bool (1, H, W).
        attribution: what it said.
    """

    explainer: AttributionMethod
    question: Question
    region: Tensor
    attribution: Attribution

    def score(self, images: Tensor) -> Tensor:
        """Return the region's mean softmax of the class, (B,), for images like the question's."""
        target = SegmentationTarget(self.explainer.model, output="softmax")
        region = self.region.expand(len(images), -1, -1)
        score: Tensor = target(images, region, self.question.class_index.expand(len(images)))
        return score

    def explain(self, images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
        """Return the explainer's map (B, H, W) for other images."""
        return self.explainer(images, region, class_index).map

    @property
    def arguments(self) -> tuple[Tensor, Tensor]:
        """The region and the class, as the metrics pass them on."""
        return self.region, self.question.class_index


class UndefinedError(ValueError):
    """A metric that the explainer's answers do not define."""


def _deletion_insertion(metric: DeletionInsertion, answer: Answer) -> None:
    question = answer.question
    metric.update(answer.score, question.image[0], answer.attribution.map[0], index=question.index)


def _of_map(metric: Sparseness | Complexity | ScaleSpectrum, answer: Answer) -> None:
    metric.update(answer.attribution.map, index=answer.question.index)


def _against_truth(metric: PointingGame | RelevanceMass, answer: Answer) -> None:
    metric.update(answer.attribution.map, answer.question.truth, index=answer.question.index)


def _active_units(metric: ActiveUnits, answer: Answer) -> None:
    if answer.attribution.units is None:
        raise UndefinedError("no units")
    metric.update(answer.attribution.units, index=answer.question.index)


def _infidelity(metric: Infidelity, answer: Answer) -> None:
    target = SegmentationTarget(answer.explainer.model)
    metric.update(
        target,
        answer.question.image,
        answer.attribution.map,
        answer.arguments,
        index=answer.question.index,
    )


def _max_sensitivity(metric: MaxSensitivity, answer: Answer) -> None:
    question = answer.question
    metric.update(answer.explain, question.image, answer.arguments, index=question.index)


def _randomisation(metric: ParameterRandomisation, answer: Answer) -> None:
    metric.update(
        answer.explainer.model,
        answer.explain,
        answer.question.image,
        answer.arguments,
        index=answer.question.index,
    )


def _cost(metric: ExplanationCost, answer: Answer) -> None:
    metric.update(answer.attribution.cost, index=answer.question.index)


def _no_options(_explainer: AttributionMethod) -> Mapping[str, Any]:
    return {}


def _layers(explainer: AttributionMethod) -> Mapping[str, Any]:
    return {"layers": randomisation_layers(explainer.model, RANDOMISED_STEPS)}


@dataclass(frozen=True)
class Measure:
    """A metric as a column group of the table.

    Attributes:
        metric: its class.
        update: takes in an answer.
        options: from the explainer to what else the class takes.
    """

    metric: type[PerImageMetric]
    update: Callable[..., None]
    options: Callable[[AttributionMethod], Mapping[str, Any]] = _no_options

    @property
    def figures(self) -> Mapping[str, bool | None]:
        """Names of the metric's figures, and whether higher is better."""
        return self.metric.figures

    def make(self, explainer: AttributionMethod, seed: int) -> PerImageMetric:
        """Return a fresh metric for an explainer."""
        return self.metric(seed=seed, **self.options(explainer))


METRICS: dict[str, Measure] = {
    "deletion_insertion": Measure(DeletionInsertion, _deletion_insertion),
    "pointing_game": Measure(PointingGame, _against_truth),
    "relevance_mass": Measure(RelevanceMass, _against_truth),
    "sparseness": Measure(Sparseness, _of_map),
    "complexity": Measure(Complexity, _of_map),
    "scale_spectrum": Measure(ScaleSpectrum, _of_map),
    "active_units": Measure(ActiveUnits, _active_units),
    "infidelity": Measure(Infidelity, _infidelity),
    "max_sensitivity": Measure(MaxSensitivity, _max_sensitivity),
    "parameter_randomisation": Measure(ParameterRandomisation, _randomisation, _layers),
    "cost": Measure(ExplanationCost, _cost),
}
