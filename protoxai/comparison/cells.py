"""How each metric takes in an explainer's answer to a question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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


def _randomised(explainer: AttributionMethod, seed: int) -> ParameterRandomisation:
    layers = randomisation_layers(explainer.model, RANDOMISED_STEPS)
    return ParameterRandomisation(layers, seed=seed)


@dataclass(frozen=True)
class Measure:
    """A metric as a column group of the table.

    Attributes:
        make: from the explainer and a seed to a fresh metric.
        update: takes in an answer.
    """

    make: Callable[[AttributionMethod, int], PerImageMetric]
    update: Callable[..., None]


def _plain(
    metric: Callable[..., PerImageMetric], explainer: AttributionMethod, seed: int
) -> PerImageMetric:
    del explainer
    return metric(seed=seed)


METRICS: dict[str, Measure] = {
    "deletion_insertion": Measure(partial(_plain, DeletionInsertion), _deletion_insertion),
    "pointing_game": Measure(partial(_plain, PointingGame), _against_truth),
    "relevance_mass": Measure(partial(_plain, RelevanceMass), _against_truth),
    "sparseness": Measure(partial(_plain, Sparseness), _of_map),
    "complexity": Measure(partial(_plain, Complexity), _of_map),
    "scale_spectrum": Measure(partial(_plain, ScaleSpectrum), _of_map),
    "active_units": Measure(partial(_plain, ActiveUnits), _active_units),
    "infidelity": Measure(partial(_plain, Infidelity), _infidelity),
    "max_sensitivity": Measure(partial(_plain, MaxSensitivity), _max_sensitivity),
    "parameter_randomisation": Measure(_randomised, _randomisation),
    "cost": Measure(partial(_plain, ExplanationCost), _cost),
}
