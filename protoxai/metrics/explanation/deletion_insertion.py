"""Deletion and insertion: effect of removing or restoring pixels in order of attribution."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.metrics.base.checks import COUNT
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.metrics.explanation.imputation import FILLS
from protoxai.metrics.explanation.perturbation_curves import Score, perturbation_curves
from protoxai.runtime.checks import choice, whole


class Areas(NamedTuple):
    """Areas under the curves, scalars.

    Attributes:
        deletion: Area under the deletion curve.
        insertion: Area under the insertion curve.
    """

    deletion: Tensor
    insertion: Tensor


def deletion_insertion(
    score: Score,
    image: Tensor,
    attribution: Tensor,
    steps: int = 20,
    *,
    fill: str = "impute",
    patch: int = 1,
    keep: Tensor | None = None,
    seed: int = 0,
    batch_size: int = 8,
) -> Areas:
    """Return the areas under the deletion and the insertion curve.

    Petsiuk, Das and Saenko, "RISE", BMVC 2018, section 4.1, with imputed pixels after Rong et al.,
    ICML 2022. The areas are sums of trapezoids on [0, 1]. Relevant pixels lower the first and raise
    the second; but scattered pixels are imputed nearly as they were, so that both areas also depend
    on how smooth the map is. :func:`faithfulness`, their difference, does not.

    Args:
        score: Function of images (n, 3, H, W) that returns one number each, (n,): the class's mean
            softmax over the region, which is fixed from the original image.
        image: Normalised image, (3, H, W) or (1, 3, H, W).
        attribution: Attribution map, signed, (H, W) or (1, H, W); equal values are removed in
            random order.
        steps: Number of steps from 0 % to 100 %.
        fill: What replaces removed pixels, "impute", "blur" or "road", see
            :func:`perturbation_curves`.
        patch: Side in pixels of the squares that are removed as one; 1 for single pixels.
        keep: Pixels that are never removed, bool (H, W); None for no such pixels.
        seed: Seed of the order of equal values; a constant attribution has a random order.
        batch_size: Largest number of images to score at once.

    Returns:
        Scalars; NaN where the attribution or the score is NaN, and if there is no pixel to remove.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If a shape or a number does not fit.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 16, 16); image[:, 4, 4] = 1
        >>> areas = deletion_insertion(lambda x: x[:, 0, 4, 4], image, image[0])
        >>> bool(areas.deletion < areas.insertion)
        True
    """
    curves = perturbation_curves(
        score,
        image,
        attribution,
        steps,
        fill=fill,
        patch=patch,
        keep=keep,
        seed=seed,
        batch_size=batch_size,
    )
    # Sums in the order of removal, so that those of a map and of its negative are the same.
    removals = torch.stack([curves[0], curves[1].flip(0)])
    return Areas(*torch.trapezoid(removals, dx=1 / whole("steps", steps)).unbind())


@register_metric("deletion_insertion")
class DeletionInsertion(PerImageMetric):
    """Areas under the deletion and insertion curves, the two terms of :class:`Faithfulness`.

    Neither ranks explanations by itself: both depend on how smooth a map is. See
    :func:`deletion_insertion`.

    Args:
        steps: Number of steps from 0 % to 100 %.
        fill: What replaces removed pixels, "impute", "blur" or "road".
        batch_size: Largest number of images to score at once.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 16, 16); image[:, 4, 4] = 1
        >>> metric = DeletionInsertion()
        >>> metric.update(lambda x: x[:, 0, 4, 4], image, image[0], index=0)
        >>> round(float(metric.compute()["insertion"]), 3)
        0.975
    """

    figures: ClassVar[dict[str, bool | None]] = {"deletion": None, "insertion": None}
    higher_is_better = None

    def __init__(
        self, steps: int = 20, *, fill: str = "impute", batch_size: int = 8, **options: Any
    ) -> None:
        super().__init__(**options)
        self.steps = whole("steps", steps, COUNT)
        self.fill = choice("fill", fill, FILLS)
        self.batch_size = whole("batch_size", batch_size, COUNT)

    def update(self, score: Score, image: Tensor, attribution: Tensor, index: Index = None) -> None:
        """Add one image, its attribution, and the score of images like it."""
        indices = self.image_indices(index, 1)
        areas = deletion_insertion(
            score,
            image,
            attribution,
            self.steps,
            fill=self.fill,
            seed=self.seed + int(indices),
            batch_size=self.batch_size,
        )
        self.add_values(torch.stack(areas)[None], indices)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add an explained task, scored by the class's softmax."""
        self.update(explained.softmax, explained.image[0], explained.map[0], index=explained.index)
