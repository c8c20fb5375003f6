"""Part intervention: whether a map knows which parts of an object a model's answer depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.metrics.base.checks import checked
from protoxai.metrics.base.explained_task import ExplainedTask, UndefinedError
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.rank_correlation import spearman
from protoxai.metrics.base.registry import register_metric
from protoxai.runtime.checks import flag, shown
from protoxai.runtime.tensors import tensor

FEWEST = 3
"""Smallest number of parts of which a rank correlation is taken."""
NO_PARTS = "the data set does not redraw its images without a part"


class PartDrops(NamedTuple):
    """Parts of an image, and what a model loses without each.

    Attributes:
        parts: Pixels of each part, bool (P, H, W).
        drops: Drop of the class's mean logit without each part, (P,), float64.
    """

    parts: Tensor
    drops: Tensor


def part_drops(
    logits: Callable[[Tensor], Tensor], image: Tensor, without: Iterable[Tensor], region: Tensor
) -> PartDrops:
    """Return the pixels of parts, and the drop of a class's mean logit when each is removed.

    A part is where its removal changes the image. The mean is over what is left of the region
    without these pixels, before and after the removal. A part whose removal changes nothing, or
    that covers the whole region, is left out.

    Args:
        logits: Function of images (n, 3, H, W) that returns the class's logits (n, H, W).
        image: Normalised image, (3, H, W) or (1, 3, H, W).
        without: The image without one part each, (3, H, W), with all else the same.
        region: Pixels that are explained, bool (H, W), fixed from the original image.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If a shape does not fit.

    Example:
        >>> import torch
        >>> image = torch.ones(3, 1, 4)
        >>> removed = image.clone(); removed[:, 0, 0] = 0
        >>> def logits(images):  # Each pixel's is the sum of the row.
        ...     return images[:, 0].sum(-1, keepdim=True).expand(-1, -1, 4)
        >>> found = part_drops(logits, image, [removed], torch.ones(1, 4, dtype=torch.bool))
        >>> found.parts.tolist(), found.drops.tolist()
        ([[[True, False, False, False]]], [1.0])
    """
    tensor("image", image, "... channels height width")
    height, width = image.shape[-2:]
    sizes = {"channels": len(image.reshape(-1, height, width)), "height": height, "width": width}
    original = image.reshape(1, *sizes.values())
    tensor("region", region, "height width", "bool", sizes=sizes)
    if not isinstance(without, Iterable) or isinstance(without, str | Mapping):
        raise TypeError(f"without is {shown(without)}, expected images (3, H, W), as in a list")
    map_of = checked("logits", logits, "images height width")
    before = map_of(original)[0].double()
    parts = [original.new_zeros(0, height, width, dtype=torch.bool)]
    drops = [before.new_zeros(0)]
    for changed in without:
        tensor("without", changed, "channels height width", sizes=sizes)
        removed = changed[None].to(original)
        part = (removed != original).any(1)
        left = region & ~part[0]
        if bool(part.any()) and bool(left.any()):
            parts.append(part)
            drops.append((before - map_of(removed)[0])[left].mean()[None])
    return PartDrops(torch.cat(parts), torch.cat(drops))


def part_intervention(
    attribution: Tensor, parts: Tensor, drops: Tensor, *, per_pixel: bool = True
) -> Tensor:
    """Return the rank correlation of an attribution over parts with the effect of each.

    The single deletion protocol of Hesse, Schaub-Meyer and Roth, "FunnyBirds: A synthetic vision
    dataset for a part-based analysis of explainable AI methods", ICCV 2023, arXiv 2308.06248,
    for segmentation. Nothing stands in for a removed part: the scene is redrawn.

    The protocol correlates the attribution summed over each part with the drop. But large parts
    have large sums and mostly a large effect, so a constant map, which knows their areas alone,
    is nearly best. So by default both are divided by the part's area: does the map know which
    parts matter more than their size explains?

    Args:
        attribution: Attribution map, signed, (H, W) or (1, H, W).
        parts: Pixels of each part, bool (P, H, W).
        drops: Drop of the class's mean logit without each part, (P,), see :func:`part_drops`.
        per_pixel: Whether sums and drops are divided by the parts' areas; if not, the figure is
            that of the protocol.

    Returns:
        Scalar in [-1, 1], float64; higher is better, and noise has 0 on average. NaN for fewer
        than three parts, if all values of the parts or all drops are equal (as for a constant map),
        and where a value is NaN.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If a shape does not fit.

    Example:
        >>> import torch
        >>> attribution = torch.tensor([[3.0, -1.0, 1.0, 0.0]])
        >>> parts = torch.eye(4, dtype=torch.bool)[:3, None]
        >>> part_intervention(attribution, parts, torch.tensor([5.0, 0.1, 0.3]))
        tensor(1., dtype=torch.float64)
    """
    tensor("attribution", attribution, "... height width", "real numbers")
    height, width = attribution.shape[-2:]
    if attribution.numel() != height * width:
        raise ValueError(
            f"attribution has shape {tuple(attribution.shape)}, expected that of one image, (H, W)"
        )
    sizes = {"height": height, "width": width}
    hint = "parts have the size of the attribution"
    tensor("parts", parts, "parts height width", "bool", sizes=sizes, hint=hint)
    tensor("drops", drops, "parts", "real numbers", sizes={"parts": len(parts)})
    per_pixel = flag("per_pixel", per_pixel)
    if len(parts) < FEWEST:
        return attribution.new_full((), torch.nan, dtype=torch.float64)
    values = attribution.detach().reshape(height, width).double()
    sums, effects = torch.stack([values[part].sum() for part in parts]), drops.double()
    if per_pixel:
        areas = parts.flatten(1).sum(1)
        sums, effects = sums / areas, effects / areas
    # What is equal but for the rounding of sums has no order.
    return spearman(_rounded(sums), effects)


def _rounded(values: Tensor) -> Tensor:
    scale = values.abs().max().clamp(min=torch.finfo(values.dtype).tiny)
    return (values / scale).round(decimals=9)


@register_metric("part_intervention")
class PartIntervention(PerImageMetric):
    """Rank correlation of a map over parts with the logit's drop without each part.

    ``part_intervention`` is per pixel; higher is better. ``part_sums`` is the figure of the
    protocol, in which a constant map is nearly best, so that it only describes. See
    :func:`part_intervention`. In a comparison the parts are those of all objects of the explained
    class; data sets that do not redraw their images have no such figures.

    Args:
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = PartIntervention()
        >>> parts, drops = torch.eye(4, dtype=torch.bool)[:3, None], torch.tensor([5.0, 0.1, 0.3])
        >>> metric.update(torch.tensor([[3.0, -1.0, 1.0, 0.0]]), parts, drops)
        >>> {name: float(value) for name, value in metric.compute().items()}
        {'part_intervention': 1.0, 'part_sums': 1.0}
    """

    figures: ClassVar[dict[str, bool | None]] = {"part_intervention": True, "part_sums": None}
    needs: ClassVar[dict[str, str]] = {"without_parts": NO_PARTS}
    higher_is_better = True

    def update(
        self, attribution: Tensor, parts: Tensor, drops: Tensor, index: Index = None
    ) -> None:
        """Add one image's map (H, W) or (1, H, W), its parts (P, H, W) and their drops (P,)."""
        both = [
            part_intervention(attribution, parts, drops, per_pixel=per_pixel)
            for per_pixel in (True, False)
        ]
        self.add_values(torch.stack(both)[None], index)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add the map of an explained task, against the parts that can be removed."""
        if explained.part_drops is None:
            raise UndefinedError(NO_PARTS)
        self.update(explained.map, *explained.part_drops(), index=explained.index)

    def why_undefined(self, explained: ExplainedTask) -> str:
        """Return why the figure is not defined for a task."""
        if not bool(explained.region.any()) or explained.part_drops is None:
            return super().why_undefined(explained)
        if len(explained.part_drops().parts) < FEWEST:
            return f"fewer than {FEWEST} parts can be removed"
        return "the values of the map on the parts are equal, or the effects of the parts"
