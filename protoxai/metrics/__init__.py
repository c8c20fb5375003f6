"""Metrics: how well a model segments, and how readable its decisions are."""

from protoxai.metrics.active_prototypes import active_prototypes
from protoxai.metrics.mean_iou import MeanIoU, iou_per_class

__all__ = ["MeanIoU", "active_prototypes", "iou_per_class"]
