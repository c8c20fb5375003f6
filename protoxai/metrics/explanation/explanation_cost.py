"""What an explanation costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from protoxai.metrics.base.per_image import Index, PerImageMetric

if TYPE_CHECKING:
    from protoxai.attribution import Cost


class ExplanationCost(PerImageMetric):
    """Forward passes, backward passes, seconds and peak memory of an explanation; lower is better.

    Images explained in one batch share its passes and seconds evenly; the memory is the batch's.

    Example:
        >>> from types import SimpleNamespace
        >>> metric = ExplanationCost()
        >>> cost = SimpleNamespace(
        ...     forward_passes=100, backward_passes=100, seconds=0.5, peak_memory=None
        ... )
        >>> metric.update(cost, index=[0, 1])
        >>> float(metric.compute()["forward_passes"]), float(metric.compute()["seconds"])
        (50.0, 0.25)
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "forward_passes": False,
        "backward_passes": False,
        "seconds": False,
        "peak_memory": False,
    }
    higher_is_better = False

    def update(self, cost: Cost, index: Index = None) -> None:
        """Take in what explaining these images cost.

        Args:
            cost: of the batch; memory in bytes, None where it could not be measured.
            index: data set index of each image of the batch; None: of a single image.
        """
        images = 1 if index is None else torch.as_tensor(index).numel()
        memory = torch.nan if cost.peak_memory is None else cost.peak_memory
        shared = (cost.forward_passes, cost.backward_passes, cost.seconds)
        row = [*(total / images for total in shared), memory]
        rows = torch.tensor(row, dtype=torch.float64).expand(images, -1)
        self._keep(self._numbers(index, images), rows)
