"""What contributed to a decision."""

from protoxai.attribution.base import Attribution, AttributionMethod
from protoxai.attribution.captum_methods import CaptumAttribution
from protoxai.attribution.cost import Cost
from protoxai.attribution.evidence import (
    baseline_logit,
    member_evidence,
    prototype_evidence,
    region_weights,
    unit_evidence,
)
from protoxai.attribution.prototype import PrototypeAttribution
from protoxai.attribution.target import SegmentationTarget

__all__ = [
    "Attribution",
    "AttributionMethod",
    "CaptumAttribution",
    "Cost",
    "PrototypeAttribution",
    "SegmentationTarget",
    "baseline_logit",
    "member_evidence",
    "prototype_evidence",
    "region_weights",
    "unit_evidence",
]
