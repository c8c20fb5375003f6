"""Pointing game: whether an attribution's maximum lies on the class that it explains."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.checks import check_masked
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric


def pointing_game(attribution: Tensor, mask: Tensor) -> Tensor:
    """Return the share of the attribution's maxima that lie in the mask.

    Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016, section 4.1; a
    single maximum gives 0 or 1.

    Args:
        attribution: Attribution maps, signed, (B, H, W).
        mask: Ground truth of the class, or of one of its parts, bool (B, H, W).

    Returns:
        Values (B,), in [0, 1]; NaN for an empty mask and for a constant attribution.

    Example:
        >>> import torch
        >>> attribution = torch.tensor([[[1.0, 3.0], [3.0, 0.0]]])
        >>> pointing_game(attribution, torch.tensor([[[True, True], [False, False]]]))
        tensor([0.5000])
    """
    check_masked(attribution, mask)
    values, inside = attribution.detach().flatten(1), mask.flatten(1).bool()
    lowest, highest = values.aminmax(dim=1)
    maxima = values == highest[:, None]
    share = (maxima & inside).sum(1) / maxima.sum(1)
    # A NaN in the map is its minimum and its maximum, and differs from itself.
    defined = inside.any(1) & (lowest < highest)
    return share.masked_fill(~defined, torch.nan)


@register_metric("pointing_game")
class PointingGame(PerImageMetric):
    """Share of an attribution's maxima in the ground-truth mask, see :func:`pointing_game`.

    Higher is better.

    Args:
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = PointingGame()
        >>> attribution = torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]])
        >>> metric.update(attribution, torch.tensor([[[0, 1]], [[0, 1]]]).bool())
        >>> float(metric.compute())
        0.5
    """

    figures: ClassVar[dict[str, bool | None]] = {"pointing_game": True}
    shares: ClassVar[tuple[str, ...]] = ("pointing_game",)
    higher_is_better = True

    def update(self, attribution: Tensor, mask: Tensor, index: Index = None) -> None:
        """Add attribution maps and masks, (B, H, W) each."""
        self.add_values(pointing_game(attribution, mask), index)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add the map of an explained task, against the labels."""
        self.update(explained.map, explained.truth, index=explained.index)
