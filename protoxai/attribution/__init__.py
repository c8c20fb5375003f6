"""What contributed to a decision."""

from protoxai.attribution.evidence import (
    baseline_logit,
    member_evidence,
    prototype_evidence,
    region_weights,
    unit_evidence,
)

__all__ = [
    "baseline_logit",
    "member_evidence",
    "prototype_evidence",
    "region_weights",
    "unit_evidence",
]
