"""Figures of prototypes and explanations, ready for a paper."""

from protoxai.explanations.figures.contrast import contrast_figure
from protoxai.explanations.figures.explanation import explanation_figure
from protoxai.explanations.figures.prototype import prototype_figure
from protoxai.explanations.figures.receptive_field import receptive_field_figure

__all__ = [
    "contrast_figure",
    "explanation_figure",
    "prototype_figure",
    "receptive_field_figure",
]
