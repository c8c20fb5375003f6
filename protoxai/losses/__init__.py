"""The loss terms of the method, one per file, and their weighted sum."""

from protoxai.losses.activation_norm import ActivationNormLoss, activation_norm_loss
from protoxai.losses.criterion import ScaleProtoSegLoss, loss_terms, register_loss
from protoxai.losses.cross_entropy import CrossEntropyLoss, cross_entropy_loss
from protoxai.losses.group_cross_entropy import GroupCrossEntropyLoss, group_cross_entropy_loss
from protoxai.losses.group_diversity import GroupDiversityLoss, group_diversity_loss
from protoxai.losses.group_entropy import GroupEntropyLoss, group_entropy_loss
from protoxai.losses.off_class_l1 import OffClassL1Loss, off_class_l1_loss
from protoxai.losses.prototype_diversity import PrototypeDiversityLoss, prototype_diversity_loss
from protoxai.losses.sample_entropy import SampleEntropyLoss, sample_entropy_loss
from protoxai.losses.scale_max import ScaleMaxLoss, scale_max_loss
from protoxai.losses.spatial_entropy import SpatialEntropyLoss, spatial_entropy_loss

__all__ = [
    "ActivationNormLoss",
    "CrossEntropyLoss",
    "GroupCrossEntropyLoss",
    "GroupDiversityLoss",
    "GroupEntropyLoss",
    "OffClassL1Loss",
    "PrototypeDiversityLoss",
    "SampleEntropyLoss",
    "ScaleMaxLoss",
    "ScaleProtoSegLoss",
    "SpatialEntropyLoss",
    "activation_norm_loss",
    "cross_entropy_loss",
    "group_cross_entropy_loss",
    "group_diversity_loss",
    "group_entropy_loss",
    "loss_terms",
    "off_class_l1_loss",
    "prototype_diversity_loss",
    "register_loss",
    "sample_entropy_loss",
    "scale_max_loss",
    "spatial_entropy_loss",
]
