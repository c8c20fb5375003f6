"""Cost of an explanation: passes, seconds and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric, indices_of
from protoxai.metrics.base.registry import register_metric
from protoxai.runtime.checks import instance, positive

if TYPE_CHECKING:
    from protoxai.attribution import Cost


def explanation_cost(cost: Cost, images: int = 1) -> Tensor:
    """Return the cost of explaining one of the images of a batch.

    The images share the passes and the seconds evenly; the memory is that of the batch.

    Args:
        cost: Cost of the batch; its memory is None if it could not be measured.
        images: Number of images in the batch.

    Returns:
        Forward passes, backward passes, seconds, and peak memory in bytes (NaN if unknown):
        float64 (4,).

    Raises:
        ValueError: If there are no images.

    Example:
        >>> from protoxai.attribution import Cost
        >>> explanation_cost(Cost(100, 50, seconds=0.5, peak_memory=None), images=2)
        tensor([50.0000, 25.0000,  0.2500,     nan], dtype=torch.float64)
    """
    from protoxai.attribution.cost import Cost

    instance("cost", cost, Cost, "an explainer returns it: explainer(...).cost")
    positive("images", images)
    memory = torch.nan if cost.peak_memory is None else cost.peak_memory
    shared = (cost.forward_passes, cost.backward_passes, cost.seconds)
    return torch.tensor([*(total / images for total in shared), memory], dtype=torch.float64)


@register_metric("cost")
class ExplanationCost(PerImageMetric):
    """Passes, seconds and peak memory of an explanation, see :func:`explanation_cost`.

    It describes the effort; maps that explain nothing are cheap, so no figure has a direction.

    Args:
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> from protoxai.attribution import Cost
        >>> metric = ExplanationCost()
        >>> metric.update(Cost(100, 100, seconds=0.5, peak_memory=None), index=[0, 1])
        >>> float(metric.compute()["forward_passes"]), float(metric.compute()["seconds"])
        (50.0, 0.25)
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "forward_passes": None,
        "backward_passes": None,
        "seconds": None,
        "peak_memory": None,
    }
    higher_is_better = None

    def update(self, cost: Cost, index: Index = None) -> None:
        """Add the cost of explaining a batch of images.

        Args:
            cost: Cost of the batch.
            index: Data set index of each image of the batch; None for a single image.
        """
        images = 1 if index is None else len(indices_of(index))
        self.add_values(explanation_cost(cost, images).expand(images, -1), index)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add the cost of explaining a task."""
        self.update(explained.cost, index=explained.index)

    def why_undefined(self, explained: ExplainedTask) -> str:
        """Return why the peak memory is not defined."""
        return f"memory is not measured on {explained.image.device.type}"
