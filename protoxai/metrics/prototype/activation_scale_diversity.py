"""Scale diversity of activations: how little a class's prototypes are active at the same pixels."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.labels import check_ignore_index, check_labels, labels_at
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.prototypes.table import PrototypeTable, check_table
from protoxai.runtime.tensors import tensor

QUANTILE = 0.8


class ActivationDiversity(NamedTuple):
    """Diversity of the activations of a class, image by image.

    Attributes:
        across: Mean 1 - IoU over pairs of prototypes of different scales, (B,), in [0, 1].
        within: Mean 1 - IoU over pairs of prototypes of one scale, the control, (B,).
    """

    across: Tensor
    within: Tensor


@torch.no_grad()
def activation_scale_diversity(
    activations: Tensor, labels: Tensor, table: PrototypeTable, *, ignore_index: int = 255
) -> ActivationDiversity:
    """Return how little the activations of a class's prototypes overlap.

    For every class in the image, each of its prototypes is active at the class's pixels where the
    activation reaches its 0.8 quantile over these pixels. Pairs of prototypes are compared by the
    intersection over union of their active pixels, averaged over all pairs of all classes.

    Args:
        activations: Activations of all prototypes (B, P, h, w).
        labels: Labels (B, H, W) of any size, which are sampled on the activations' grid.
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.

    Returns:
        Two tensors (B,); NaN for an image without a pair.

    Raises:
        ValueError: If a label is neither a class nor ignored, or the batches differ.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> activations = torch.tensor([[[[0.0, 1.0, 2.0]], [[2.0, 1.0, 0.0]]]])
        >>> table = PrototypeTable([0, 0], [0, 1], num_classes=1, num_scales=2)
        >>> activation_scale_diversity(activations, torch.zeros(1, 1, 3).long(), table).across
        tensor([1.], dtype=torch.float64)
    """
    check_table(table)
    dims, count = "batch prototypes height width", len(table)
    batch = len(tensor("activations", activations, dims, sizes={"prototypes": count}))
    hint = "one map for each image of the activations"
    tensor("labels", labels, "batch height width", "integers", hint=hint, sizes={"batch": batch})
    check_labels(labels, table.num_classes, ignore_index)
    labels = labels_at(labels, (activations.shape[2], activations.shape[3]))
    table = table.to(activations.device)
    rows = []
    for maps, image_labels in zip(activations, labels, strict=True):
        across, within = [], []
        for class_index in table.classes.tolist():
            own = table.class_index == class_index
            pixels = image_labels == class_index
            if bool(pixels.any()):
                differing, other_scale = _pairs(maps[own][:, pixels], table.scale_index[own])
                across.append(differing[other_scale])
                within.append(differing[~other_scale])
        rows.append(torch.stack([_mean(across), _mean(within)]))
    return ActivationDiversity(*torch.stack(rows).to(activations.device).unbind(1))


def _pairs(values: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 - IoU of each pair of rows (M, U), and whether their scales differ."""
    values = values.double()
    cut = (values >= values.quantile(QUANTILE, 1, keepdim=True)).double()
    common = cut @ cut.T
    size = cut.sum(1)
    differing = 1 - common / (size[:, None] + size - common)
    one, other = torch.triu_indices(len(values), len(values), 1)
    return differing[one, other], scales[one] != scales[other]


def _mean(values: list[Tensor]) -> Tensor:
    return torch.cat(
        [torch.zeros(0, dtype=torch.float64), *(value.cpu() for value in values)]
    ).mean()


class ActivationScaleDiversity(PerImageMetric):
    """Diversity of activations across scales and, as the control, within a scale.

    It counts what is there, and has no direction. See :func:`activation_scale_diversity`.

    Args:
        table: Class and scale of each prototype.
        ignore_index: Label of pixels that do not count.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> metric = ActivationScaleDiversity(PrototypeTable.regular(1, 2, 1))
        >>> metric.update(torch.ones(1, 2, 3, 3), torch.zeros(1, 6, 6).long())
        >>> float(metric.compute()["across_scales"])
        0.0
    """

    figures: ClassVar[dict[str, bool | None]] = {"across_scales": None, "within_scale": None}
    higher_is_better = None

    def __init__(self, table: PrototypeTable, *, ignore_index: int = 255, **options: Any) -> None:
        super().__init__(**options)
        self.table = check_table(table)
        self.ignore_index = check_ignore_index(ignore_index, table.num_classes)

    def update(self, activations: Tensor, labels: Tensor, index: Index = None) -> None:
        """Add activations (B, P, h, w) and labels (B, H, W)."""
        diversity = activation_scale_diversity(
            activations, labels, self.table, ignore_index=self.ignore_index
        )
        self.add_values(torch.stack(diversity, 1), index)
