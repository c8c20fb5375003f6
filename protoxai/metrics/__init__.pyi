# The one list of the package's names. Registered metrics have this order in comparisons, so the
# imports are not sorted.
# ruff: noqa: I001

from protoxai.metrics.base.intervals import (
    Estimate as Estimate,
    estimate as estimate,
)
from protoxai.metrics.base.explained_task import (
    ExplainedTask as ExplainedTask,
    UndefinedError as UndefinedError,
)
from protoxai.metrics.base.per_image import (
    PerImageMetric as PerImageMetric,
)
from protoxai.metrics.base.per_model import (
    ModelMetric as ModelMetric,
)
from protoxai.metrics.base.rank_correlation import (
    spearman as spearman,
)
from protoxai.metrics.base.registry import (
    metric_named as metric_named,
    register_metric as register_metric,
    registered_metrics as registered_metrics,
)
from protoxai.metrics.explanation.faithfulness import (
    Faithfulness as Faithfulness,
    faithfulness as faithfulness,
)
from protoxai.metrics.explanation.patch_faithfulness import (
    PatchFaithfulness as PatchFaithfulness,
    patch_faithfulness as patch_faithfulness,
)
from protoxai.metrics.explanation.deletion_insertion import (
    DeletionInsertion as DeletionInsertion,
    deletion_insertion as deletion_insertion,
)
from protoxai.metrics.explanation.perturbation_curves import (
    perturbation_curves as perturbation_curves,
)
from protoxai.metrics.explanation.pointing_game import (
    PointingGame as PointingGame,
    pointing_game as pointing_game,
)
from protoxai.metrics.explanation.relevance_mass import (
    RelevanceMass as RelevanceMass,
    relevance_mass as relevance_mass,
)
from protoxai.metrics.explanation.off_target_leakage import (
    OffTargetLeakage as OffTargetLeakage,
    off_target_leakage as off_target_leakage,
)
from protoxai.metrics.explanation.part_intervention import (
    PartDrops as PartDrops,
    PartIntervention as PartIntervention,
    part_drops as part_drops,
    part_intervention as part_intervention,
)
from protoxai.metrics.explanation.sparseness import (
    Sparseness as Sparseness,
    sparseness as sparseness,
)
from protoxai.metrics.explanation.complexity import (
    Complexity as Complexity,
    complexity as complexity,
)
from protoxai.metrics.explanation.scale_spectrum import (
    ScaleSpectrum as ScaleSpectrum,
    scale_spectrum as scale_spectrum,
)
from protoxai.metrics.explanation.active_units import (
    ActiveUnits as ActiveUnits,
    active_units as active_units,
)
from protoxai.metrics.explanation.perturbation_agreement import (
    PerturbationAgreement as PerturbationAgreement,
    perturbation_agreement as perturbation_agreement,
)
from protoxai.metrics.explanation.target_sensitivity import (
    TargetSensitivity as TargetSensitivity,
    target_sensitivity as target_sensitivity,
)
from protoxai.metrics.explanation.infidelity import (
    Infidelity as Infidelity,
    infidelity as infidelity,
)
from protoxai.metrics.explanation.max_sensitivity import (
    MaxSensitivity as MaxSensitivity,
    max_sensitivity as max_sensitivity,
)
from protoxai.metrics.explanation.parameter_randomisation import (
    ParameterRandomisation as ParameterRandomisation,
    parameter_randomisation as parameter_randomisation,
    randomisation_layers as randomisation_layers,
)
from protoxai.metrics.explanation.explanation_cost import (
    ExplanationCost as ExplanationCost,
    explanation_cost as explanation_cost,
)
from protoxai.metrics.explanation.gini import (
    Gini as Gini,
    gini as gini,
)
from protoxai.metrics.explanation.effective_number import (
    EffectiveNumber as EffectiveNumber,
    effective_number as effective_number,
)
from protoxai.metrics.prototype.activation_scale_diversity import (
    ActivationScaleDiversity as ActivationScaleDiversity,
    activation_scale_diversity as activation_scale_diversity,
)
from protoxai.metrics.prototype.active_prototypes import (
    ActivePrototypes as ActivePrototypes,
    active_prototypes as active_prototypes,
)
from protoxai.metrics.prototype.group_overlap import (
    GroupOverlap as GroupOverlap,
    group_overlap as group_overlap,
)
from protoxai.metrics.prototype.group_scale_diversity import (
    GroupScaleDiversity as GroupScaleDiversity,
    group_scale_diversity as group_scale_diversity,
)
from protoxai.metrics.prototype.group_sparsity import (
    GroupSparsity as GroupSparsity,
    group_sparsity as group_sparsity,
)
from protoxai.metrics.prototype.chance_hits import (
    chance_hits as chance_hits,
)
from protoxai.metrics.prototype.part_consistency import (
    PartConsistency as PartConsistency,
    part_consistency as part_consistency,
)
from protoxai.metrics.prototype.part_hits import (
    part_hits as part_hits,
)
from protoxai.metrics.prototype.part_stability import (
    PartStability as PartStability,
    part_stability as part_stability,
)
from protoxai.metrics.prototype.prototype_misalignment import (
    PrototypeMisalignment as PrototypeMisalignment,
    prototype_misalignment as prototype_misalignment,
)
from protoxai.metrics.prototype.prototype_purity import (
    PrototypePurity as PrototypePurity,
    prototype_purity as prototype_purity,
)
from protoxai.metrics.prototype.prototype_redundancy import (
    PrototypeRedundancy as PrototypeRedundancy,
    prototype_redundancy as prototype_redundancy,
)
from protoxai.metrics.segmentation.mean_iou import (
    MeanIoU as MeanIoU,
    iou_per_class as iou_per_class,
    mean_iou as mean_iou,
)
