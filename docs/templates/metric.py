"""Template of a metric of explanations: the share of the map that is negative."""

from typing import ClassVar

from torch import Tensor

from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import PerImageMetric
from protoxai.metrics.base.registry import register_metric


def negative_share(attribution: Tensor) -> Tensor:
    """Return the negative share of each attribution map.

    Args:
        attribution: Attribution maps (B, H, W).

    Returns:
        Shares (B,), in [0, 1]; NaN for a map of zeros.

    Raises:
        ValueError: If the maps do not have three dimensions.
    """
    if attribution.ndim != 3:
        raise ValueError(
            f"got maps of shape {tuple(attribution.shape)}, expected (B, H, W): add the batch "
            "axis with map[None]"
        )
    maps = attribution.flatten(1).double()
    return -maps.clamp_max(0).sum(1) / maps.abs().sum(1)


@register_metric("negative_share")
class NegativeShare(PerImageMetric):
    """Negative share of an attribution map, see :func:`negative_share`. Lower is better.

    Args:
        **options: Options of :class:`~protoxai.metrics.PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = NegativeShare()
        >>> metric.update(torch.tensor([[[-1.0, 3.0]]]))
        >>> float(metric.compute())
        0.25
    """

    figures: ClassVar[dict[str, bool | None]] = {"negative_share": False}
    higher_is_better = False

    def update(self, attribution: Tensor, index: int | list[int] | None = None) -> None:
        """Add the maps of a batch of images.

        Args:
            attribution: Attribution maps (B, H, W).
            index: Data set index of each image; None numbers them.
        """
        self.add_values(negative_share(attribution), index)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add the map of an explained task, in a comparison.

        Args:
            explained: Image, labels, map and cost of the task.
        """
        self.update(explained.map, index=explained.index)
