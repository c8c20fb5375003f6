"""Attribution: contributions of pixels, groups and prototypes to a decision."""

from protoxai.attribution.base import Attribution, AttributionMethod
from protoxai.attribution.cam import CAMS, CamAttribution
from protoxai.attribution.captum_methods import CaptumAttribution
from protoxai.attribution.cost import Cost
from protoxai.attribution.evidence import (
    baseline_logit,
    member_evidence,
    prototype_evidence,
    region_weights,
    unit_evidence,
)
from protoxai.attribution.example_prototypes import ExamplePrototypes
from protoxai.attribution.prototype import PrototypeAttribution
from protoxai.attribution.prototype_target import PrototypeTarget
from protoxai.attribution.reference_maps import REFERENCE_MAPS, ReferenceMap
from protoxai.attribution.registry import (
    EXPLAINERS,
    RegisteredExplainer,
    explainer_named,
    register_explainer,
)
from protoxai.attribution.rise import RISE
from protoxai.attribution.side_by_side import attribution_figure
from protoxai.attribution.target import SegmentationTarget

__all__ = [
    "CAMS",
    "EXPLAINERS",
    "REFERENCE_MAPS",
    "RISE",
    "Attribution",
    "AttributionMethod",
    "CamAttribution",
    "CaptumAttribution",
    "Cost",
    "ExamplePrototypes",
    "PrototypeAttribution",
    "PrototypeTarget",
    "ReferenceMap",
    "RegisteredExplainer",
    "SegmentationTarget",
    "attribution_figure",
    "baseline_logit",
    "explainer_named",
    "member_evidence",
    "prototype_evidence",
    "region_weights",
    "register_explainer",
    "unit_evidence",
]
