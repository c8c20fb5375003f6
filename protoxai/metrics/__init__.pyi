from protoxai.metrics.base.bootstrap import Estimate as Estimate
from protoxai.metrics.base.bootstrap import estimate as estimate
from protoxai.metrics.base.concentration import complexity as complexity
from protoxai.metrics.base.concentration import effective_number as effective_number
from protoxai.metrics.base.concentration import gini as gini
from protoxai.metrics.base.per_image import PerImageMetric as PerImageMetric
from protoxai.metrics.base.per_model import ModelMetric as ModelMetric
from protoxai.metrics.base.rank_correlation import spearman as spearman
from protoxai.metrics.explanation.active_units import ActiveUnits as ActiveUnits
from protoxai.metrics.explanation.active_units import active_units as active_units
from protoxai.metrics.explanation.complexity import Complexity as Complexity
from protoxai.metrics.explanation.complexity import EffectiveNumber as EffectiveNumber
from protoxai.metrics.explanation.deletion_insertion import DeletionInsertion as DeletionInsertion
from protoxai.metrics.explanation.deletion_insertion import deletion_insertion as deletion_insertion
from protoxai.metrics.explanation.deletion_insertion import (
    perturbation_curves as perturbation_curves,
)
from protoxai.metrics.explanation.explanation_cost import ExplanationCost as ExplanationCost
from protoxai.metrics.explanation.infidelity import Infidelity as Infidelity
from protoxai.metrics.explanation.infidelity import infidelity as infidelity
from protoxai.metrics.explanation.max_sensitivity import MaxSensitivity as MaxSensitivity
from protoxai.metrics.explanation.max_sensitivity import max_sensitivity as max_sensitivity
from protoxai.metrics.explanation.parameter_randomisation import (
    ParameterRandomisation as ParameterRandomisation,
)
from protoxai.metrics.explanation.parameter_randomisation import (
    parameter_randomisation as parameter_randomisation,
)
from protoxai.metrics.explanation.parameter_randomisation import (
    randomisation_layers as randomisation_layers,
)
from protoxai.metrics.explanation.pointing_game import PointingGame as PointingGame
from protoxai.metrics.explanation.pointing_game import pointing_game as pointing_game
from protoxai.metrics.explanation.relevance_mass import RelevanceMass as RelevanceMass
from protoxai.metrics.explanation.relevance_mass import relevance_mass as relevance_mass
from protoxai.metrics.explanation.scale_spectrum import ScaleSpectrum as ScaleSpectrum
from protoxai.metrics.explanation.scale_spectrum import scale_spectrum as scale_spectrum
from protoxai.metrics.explanation.sparseness import Gini as Gini
from protoxai.metrics.explanation.sparseness import Sparseness as Sparseness
from protoxai.metrics.prototype.activation_scale_diversity import (
    ActivationScaleDiversity as ActivationScaleDiversity,
)
from protoxai.metrics.prototype.activation_scale_diversity import (
    activation_scale_diversity as activation_scale_diversity,
)
from protoxai.metrics.prototype.active_prototypes import ActivePrototypes as ActivePrototypes
from protoxai.metrics.prototype.active_prototypes import active_prototypes as active_prototypes
from protoxai.metrics.prototype.group_scale_diversity import (
    GroupScaleDiversity as GroupScaleDiversity,
)
from protoxai.metrics.prototype.group_scale_diversity import (
    group_scale_diversity as group_scale_diversity,
)
from protoxai.metrics.prototype.group_sparsity import GroupSparsity as GroupSparsity
from protoxai.metrics.prototype.group_sparsity import group_sparsity as group_sparsity
from protoxai.metrics.prototype.part_consistency import PartConsistency as PartConsistency
from protoxai.metrics.prototype.part_consistency import part_consistency as part_consistency
from protoxai.metrics.prototype.part_hits import part_hits as part_hits
from protoxai.metrics.prototype.part_stability import PartStability as PartStability
from protoxai.metrics.prototype.part_stability import part_stability as part_stability
from protoxai.metrics.prototype.prototype_redundancy import (
    PrototypeRedundancy as PrototypeRedundancy,
)
from protoxai.metrics.prototype.prototype_redundancy import (
    prototype_redundancy as prototype_redundancy,
)
from protoxai.metrics.segmentation.mean_iou import MeanIoU as MeanIoU
from protoxai.metrics.segmentation.mean_iou import iou_per_class as iou_per_class
