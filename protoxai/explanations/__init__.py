"""Explanations: the prototypes behind a model's decisions, as data and figures."""

from protoxai.explanations.areas import Firing
from protoxai.explanations.contrast import Contrast, PrototypeContrast
from protoxai.explanations.explanation import Explanation
from protoxai.explanations.figures import explanation_figure
from protoxai.explanations.local import explain
from protoxai.explanations.receptive_fields import ReceptiveField, receptive_field
from protoxai.explanations.regions import GroupEvidence, PrototypeEvidence, RegionExplanation

__all__ = [
    "Contrast",
    "Explanation",
    "Firing",
    "GroupEvidence",
    "PrototypeContrast",
    "PrototypeEvidence",
    "ReceptiveField",
    "RegionExplanation",
    "explain",
    "explanation_figure",
    "receptive_field",
]
