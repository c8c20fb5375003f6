"""Metrics: how well a model segments, and how readable its decisions are.

A metric is a function and a ``torchmetrics.Metric``. Those over images keep a value for each image
and give its mean with a 95 % bootstrap interval; those of a model give its numbers. Each says which
direction is better. They load when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from protoxai.metrics.concentration import complexity, effective_number, gini

if TYPE_CHECKING:
    from protoxai.metrics.bootstrap import Estimate, estimate
    from protoxai.metrics.consistency import PartConsistency, part_consistency
    from protoxai.metrics.correlation import spearman
    from protoxai.metrics.cost import ExplanationCost
    from protoxai.metrics.entropy import Complexity, EffectiveNumber
    from protoxai.metrics.fidelity import Infidelity, infidelity
    from protoxai.metrics.mass import RelevanceMass, relevance_mass
    from protoxai.metrics.mean_iou import MeanIoU, iou_per_class
    from protoxai.metrics.parts import part_hits
    from protoxai.metrics.per_image import PerImageMetric
    from protoxai.metrics.per_model import ModelMetric
    from protoxai.metrics.perturbation import (
        DeletionInsertion,
        deletion_insertion,
        perturbation_curves,
    )
    from protoxai.metrics.pointing import PointingGame, pointing_game
    from protoxai.metrics.prototype_use import ActivePrototypes, active_prototypes
    from protoxai.metrics.randomisation import (
        ParameterRandomisation,
        parameter_randomisation,
        randomisation_layers,
    )
    from protoxai.metrics.redundancy import PrototypeRedundancy, prototype_redundancy
    from protoxai.metrics.scales_of_activations import (
        ActivationScaleDiversity,
        activation_scale_diversity,
    )
    from protoxai.metrics.scales_of_groups import GroupScaleDiversity, group_scale_diversity
    from protoxai.metrics.sensitivity import MaxSensitivity, max_sensitivity
    from protoxai.metrics.sparseness import Gini, Sparseness
    from protoxai.metrics.sparsity_of_groups import GroupSparsity, group_sparsity
    from protoxai.metrics.spectrum import ScaleSpectrum, scale_spectrum
    from protoxai.metrics.stability import PartStability, part_stability
    from protoxai.metrics.unit_count import ActiveUnits, active_units

# No file bears the name of a function: once loaded, it would stand here in the function's place.
_HOME = {
    "ActivationScaleDiversity": "scales_of_activations",
    "ActivePrototypes": "prototype_use",
    "ActiveUnits": "unit_count",
    "Complexity": "entropy",
    "DeletionInsertion": "perturbation",
    "EffectiveNumber": "entropy",
    "Estimate": "bootstrap",
    "ExplanationCost": "cost",
    "Gini": "sparseness",
    "GroupScaleDiversity": "scales_of_groups",
    "GroupSparsity": "sparsity_of_groups",
    "Infidelity": "fidelity",
    "MaxSensitivity": "sensitivity",
    "MeanIoU": "mean_iou",
    "ModelMetric": "per_model",
    "ParameterRandomisation": "randomisation",
    "PartConsistency": "consistency",
    "PartStability": "stability",
    "PerImageMetric": "per_image",
    "PointingGame": "pointing",
    "PrototypeRedundancy": "redundancy",
    "RelevanceMass": "mass",
    "ScaleSpectrum": "spectrum",
    "Sparseness": "sparseness",
    "activation_scale_diversity": "scales_of_activations",
    "active_prototypes": "prototype_use",
    "active_units": "unit_count",
    "deletion_insertion": "perturbation",
    "estimate": "bootstrap",
    "group_scale_diversity": "scales_of_groups",
    "group_sparsity": "sparsity_of_groups",
    "infidelity": "fidelity",
    "iou_per_class": "mean_iou",
    "max_sensitivity": "sensitivity",
    "parameter_randomisation": "randomisation",
    "part_consistency": "consistency",
    "part_hits": "parts",
    "part_stability": "stability",
    "perturbation_curves": "perturbation",
    "pointing_game": "pointing",
    "prototype_redundancy": "redundancy",
    "randomisation_layers": "randomisation",
    "relevance_mass": "mass",
    "scale_spectrum": "spectrum",
    "spearman": "correlation",
}

__all__ = [
    "ActivationScaleDiversity",
    "ActivePrototypes",
    "ActiveUnits",
    "Complexity",
    "DeletionInsertion",
    "EffectiveNumber",
    "Estimate",
    "ExplanationCost",
    "Gini",
    "GroupScaleDiversity",
    "GroupSparsity",
    "Infidelity",
    "MaxSensitivity",
    "MeanIoU",
    "ModelMetric",
    "ParameterRandomisation",
    "PartConsistency",
    "PartStability",
    "PerImageMetric",
    "PointingGame",
    "PrototypeRedundancy",
    "RelevanceMass",
    "ScaleSpectrum",
    "Sparseness",
    "activation_scale_diversity",
    "active_prototypes",
    "active_units",
    "complexity",
    "deletion_insertion",
    "effective_number",
    "estimate",
    "gini",
    "group_scale_diversity",
    "group_sparsity",
    "infidelity",
    "iou_per_class",
    "max_sensitivity",
    "parameter_randomisation",
    "part_consistency",
    "part_hits",
    "part_stability",
    "perturbation_curves",
    "pointing_game",
    "prototype_redundancy",
    "randomisation_layers",
    "relevance_mass",
    "scale_spectrum",
    "spearman",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'protoxai.metrics' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"protoxai.metrics.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
