"""Explanations: what a model decided, and by which prototypes."""

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
]
