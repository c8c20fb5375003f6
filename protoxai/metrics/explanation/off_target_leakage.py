"""Off-target leakage: share of an attribution on what it does not explain."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.metrics.base.checks import check_maps
from protoxai.metrics.base.explained_task import ExplainedTask, UndefinedError
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.metrics.base.shares import excess_share
from protoxai.runtime.checks import whole
from protoxai.runtime.tensors import tensor

NO_LABELS = "the tasks have no labels of the whole image"


class Leakage(NamedTuple):
    """Shares of absolute attribution, each minus the share of the area, (B,).

    Attributes:
        off_target: Share on all pixels of other labels, the sum of the two below.
        other_classes: Share on other classes than the background.
        background: Share on the background.
    """

    off_target: Tensor
    other_classes: Tensor
    background: Tensor


def off_target_leakage(
    attribution: Tensor,
    labels: Tensor,
    class_index: Tensor,
    *,
    background: int | None = 0,
    ignore_index: int = 255,
) -> Leakage:
    """Return the shares of absolute attribution outside of the explained class.

    The complement of relevance mass (Arras, Osman and Samek, "CLEVR-XAI", Information Fusion 2022,
    section 3.2) for both signs of the attribution, split by what is there instead, and corrected
    for the area, so that a constant map has 0. Ignored pixels are left out.

    Args:
        attribution: Attribution maps, signed, (B, H, W).
        labels: Integer labels (B, H, W).
        class_index: Class that each map explains, integers (B,).
        background: Class of the background; None if there is none.
        ignore_index: Label of the ignored pixels.

    Returns:
        Values (B,) in (-1, 1), float64; lower is better, 0 is chance. NaN where the class is not
        labelled or the map is 0 on all labelled pixels; the background's also where the background
        is the class itself or None.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If a shape does not fit.

    Example:
        >>> import torch
        >>> attribution = torch.tensor([[[5.0, -2.0], [3.0, 0.0]]])
        >>> labels = torch.tensor([[[1, 2], [0, 0]]])
        >>> leakage = off_target_leakage(attribution, labels, torch.tensor([1]))
        >>> [round(float(value), 2) for value in leakage]
        [-0.25, -0.05, -0.2]
    """
    check_maps(attribution)
    batch, height, width = attribution.shape
    sizes = {"batch": batch, "height": height, "width": width}
    tensor("labels", labels, "batch height width", "integers", sizes=sizes)
    tensor("class_index", class_index, "batch", "integers", sizes={"batch": batch})
    background = None if background is None else whole("background", background)
    ignore_index = whole("ignore_index", ignore_index)
    rows = zip(attribution.detach(), labels, class_index.tolist(), strict=True)
    values = [_leakage(*row, background, ignore_index)[None] for row in rows]
    none = torch.zeros(0, 3, dtype=torch.float64, device=attribution.device)
    return Leakage(*torch.cat([none, *values]).unbind(1))


def _leakage(
    attribution: Tensor, labels: Tensor, own: int, background: int | None, ignore_index: int
) -> Tensor:
    counted = labels != ignore_index
    sizes, labels = attribution[counted].double().abs(), labels[counted]
    target = labels == own
    behind = torch.zeros_like(target) if background is None else labels == background
    others = torch.stack([~target, ~target & ~behind, behind])
    values = excess_share(sizes.expand(3, -1), others)
    undefined = torch.tensor([False, False, background is None or background == own])
    return values.masked_fill(undefined.to(values.device) | ~target.any(), torch.nan)


@register_metric("off_target_leakage")
class OffTargetLeakage(PerImageMetric):
    """Shares of absolute attribution off the class, on other classes, and on the background.

    Lower is better; 0 is chance. The share on other classes has no direction, because a model may
    use them. See :func:`off_target_leakage`. In a comparison, the background and the ignored label
    are those of the tasks.

    Args:
        background: Class of the background, for ``update``; None if there is none.
        ignore_index: Label of the ignored pixels, for ``update``.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = OffTargetLeakage()
        >>> labels = torch.tensor([[[1, 2], [0, 0]]])
        >>> metric.update(torch.tensor([[[5.0, -2.0], [3.0, 0.0]]]), labels, torch.tensor([1]))
        >>> round(float(metric.compute()["off_target_leakage"]), 2)
        -0.25
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "off_target_leakage": False,
        "other_class_leakage": None,
        "background_leakage": False,
    }
    needs: ClassVar[dict[str, str]] = {"labels": NO_LABELS}
    higher_is_better = False

    def __init__(
        self, *, background: int | None = 0, ignore_index: int = 255, **options: Any
    ) -> None:
        super().__init__(**options)
        self.background = None if background is None else whole("background", background)
        self.ignore_index = whole("ignore_index", ignore_index)

    def update(
        self, attribution: Tensor, labels: Tensor, class_index: Tensor, index: Index = None
    ) -> None:
        """Add attribution maps (B, H, W), labels (B, H, W) and the explained classes (B,)."""
        leakage = off_target_leakage(
            attribution,
            labels,
            class_index,
            background=self.background,
            ignore_index=self.ignore_index,
        )
        self.add_values(torch.stack(leakage, 1), index)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add the map of an explained task, against all labels of the image."""
        if explained.labels is None:
            raise UndefinedError(NO_LABELS)
        leakage = off_target_leakage(
            explained.map,
            explained.labels,
            explained.class_index,
            background=explained.background,
            ignore_index=explained.ignore_index,
        )
        self.add_values(torch.stack(leakage, 1), explained.index)

    def why_undefined(self, explained: ExplainedTask) -> str:
        """Return why figures are not defined for a task."""
        if all(bool(each.any()) for each in (explained.region, explained.truth, explained.map)):
            return "there is no background beside the class"
        return super().why_undefined(explained)
