"""How each metric takes in an explainer's answer to a question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from protoxai.attribution import AttributionMethod
from protoxai.comparison.memo import Answer
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
from protoxai.metrics.base.per_image import PerImageMetric
from protoxai.metrics.explanation.parameter_randomisation import randomisation_layers

RANDOMISED_STEPS = 4


class UndefinedError(ValueError):
    """A metric that the explainer's answers do not define."""


def _deletion_insertion(metric: DeletionInsertion, answer: Answer) -> None:
    question = answer.case.question
    found = answer.attribution.map[0]
    metric.update(answer.case.softmax, question.image[0], found, index=question.index)


def _of_map(metric: Sparseness | Complexity | ScaleSpectrum, answer: Answer) -> None:
    metric.update(answer.attribution.map, index=answer.case.question.index)


def _against_truth(metric: PointingGame | RelevanceMass, answer: Answer) -> None:
    question = answer.case.question
    metric.update(answer.attribution.map, question.truth, index=question.index)


def _active_units(metric: ActiveUnits, answer: Answer) -> None:
    if answer.attribution.units is None:
        raise UndefinedError("no units")
    metric.update(answer.attribution.units, index=answer.case.question.index)


def _infidelity(metric: Infidelity, answer: Answer) -> None:
    question = answer.case.question
    metric.update(answer.case.logit, question.image, answer.attribution.map, index=question.index)


def _max_sensitivity(metric: MaxSensitivity, answer: Answer) -> None:
    question = answer.case.question
    metric.update(
        answer.explain,
        question.image,
        answer.case.arguments,
        index=question.index,
        original=answer.attribution.map,
    )


def _randomisation(metric: ParameterRandomisation, answer: Answer) -> None:
    question = answer.case.question
    metric.update(
        answer.explainer.model,
        answer.explain,
        question.image,
        answer.case.arguments,
        index=question.index,
        original=answer.attribution.map,
    )


def _cost(metric: ExplanationCost, answer: Answer) -> None:
    metric.update(answer.attribution.cost, index=answer.case.question.index)


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
