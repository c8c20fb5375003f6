"""Explanations: the prototypes behind a model's decisions, as data and figures."""

from protoxai.explanations.figures import explanation_figure
from protoxai.explanations.local import (
    Explanation,
    GroupEvidence,
    PrototypeEvidence,
    RegionExplanation,
    explain,
)

__all__ = [
    "Explanation",
    "GroupEvidence",
    "PrototypeEvidence",
    "RegionExplanation",
    "explain",
    "explanation_figure",
]
