"""Target sensitivity: whether an explanation depends on the class that it is asked about."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.checks import check_maps
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.rank_correlation import spearman
from protoxai.metrics.base.registry import register_metric
from protoxai.runtime.tensors import tensor


def target_sensitivity(attribution: Tensor, other: Tensor) -> Tensor:
    """Return one minus the rank correlation of an explainer's maps for two classes of one image.

    Sixt, Granz and Landgraf, "When explanations lie: why many modified BP attributions fail", ICML
    2020, section 4, compare maps of different classes by their structural similarity; here it is
    Spearman's correlation over pixels. A map that ignores the class has 0.

    Args:
        attribution: Attribution maps of one class of each image, signed, (B, H, W).
        other: Attribution maps of another class of the same images, by the same explainer,
            (B, H, W).

    Returns:
        Values (B,) in [0, 2], float64: 0 for maps in the same order, 1 for unrelated ones, 2 for
        opposite ones. NaN where a map is constant or holds a NaN.

    Raises:
        TypeError: If a map has another type.
        ValueError: If the shapes do not fit.

    Example:
        >>> import torch
        >>> attribution = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
        >>> target_sensitivity(attribution, 7 * attribution)
        tensor([0.], dtype=torch.float64)
    """
    check_maps(attribution)
    batch, height, width = attribution.shape
    sizes = {"batch": batch, "height": height, "width": width}
    tensor("other", other, "batch height width", "real numbers", sizes=sizes)
    values = attribution.new_zeros(batch, dtype=torch.float64)
    for row, (one, two) in enumerate(zip(attribution.detach(), other.detach(), strict=True)):
        values[row] = 1 - spearman(one.flatten(), two.flatten())
    return values


@register_metric("target_sensitivity")
class TargetSensitivity(PerImageMetric):
    """One minus the rank correlation of the maps of two classes, see :func:`target_sensitivity`.

    A check: 0 exposes a map that ignores which class it explains, but noise that is drawn anew for
    each class has 1. In a comparison the other class is the runner-up: the one with the next
    highest mean logit over the region.

    Args:
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = TargetSensitivity()
        >>> metric.update(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[2.0, 1.0]]]))
        >>> float(metric.compute())
        2.0
    """

    figures: ClassVar[dict[str, bool | None]] = {"target_sensitivity": None}
    higher_is_better = None

    def update(self, attribution: Tensor, other: Tensor, index: Index = None) -> None:
        """Add the maps of one class of each image and those of another, (B, H, W) each."""
        self.add_values(target_sensitivity(attribution, other), index)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add the map of an explained task and that of the runner-up over the same region."""
        self.update(explained.map, explained.map_of(), index=explained.index)

    def why_undefined(self, explained: ExplainedTask) -> str:
        """Return why the figure is not defined for a task."""
        low, high = explained.map.aminmax()
        if bool(explained.region.any()) and low < high:
            return "the map of the runner-up class is the same everywhere"
        return super().why_undefined(explained)
