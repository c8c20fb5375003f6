"""Faithfulness of the squares of an image."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.metrics.explanation.faithfulness import Faithfulness, faithfulness
from protoxai.metrics.explanation.perturbation_curves import Score

PATCH = 16
"""Side of the squares, in pixels."""


def patch_faithfulness(
    score: Score,
    image: Tensor,
    attribution: Tensor,
    steps: int = 20,
    *,
    fill: str = "impute",
    seed: int = 0,
    batch_size: int = 8,
) -> Tensor:
    """Return the area between the curves of insertion and deletion of squares of 16 pixels.

    It is :func:`faithfulness` with ``patch=16``; squares instead of pixels follow Samek et al.,
    "Evaluating the visualization of what a deep neural network has learned", IEEE Transactions on
    Neural Networks and Learning Systems, 2017. Squares hide more of an object than scattered
    pixels do, and so depend less on the imputation.

    Args:
        score: Function of images (n, 3, H, W) that returns one number each, (n,).
        image: Normalised image, (3, H, W) or (1, 3, H, W).
        attribution: Attribution map, signed, (H, W) or (1, H, W); the squares are in the order of
            its means, equal ones in random order.
        steps: Number of steps from 0 % to 100 %.
        fill: What replaces removed squares, "impute", "blur" or "road".
        seed: Seed of the order of equal values.
        batch_size: Largest number of images to score at once.

    Returns:
        Scalar in [-1, 1] if the score is in [0, 1]; higher is better. NaN where the attribution or
        the score is NaN.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If a shape or a number does not fit.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 32, 32); image[:, 4, 4] = 1
        >>> round(float(patch_faithfulness(lambda x: x[:, 0, 4, 4], image, image[0])), 3)
        0.75
    """
    return faithfulness(
        score,
        image,
        attribution,
        steps,
        fill=fill,
        patch=PATCH,
        seed=seed,
        batch_size=batch_size,
    )


@register_metric("patch_faithfulness")
class PatchFaithfulness(Faithfulness):
    """Area between insertion and deletion of squares of 16 pixels, by their mean attribution.

    Higher is better; a map that has nothing to do with the model has about 0. See
    :func:`patch_faithfulness`.

    Args:
        steps: Number of steps from 0 % to 100 %.
        fill: What replaces removed pixels, "impute", "blur" or "road".
        batch_size: Largest number of images to score at once.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 32, 32); image[:, 4, 4] = 1
        >>> metric = PatchFaithfulness()
        >>> metric.update(lambda x: x[:, 0, 4, 4], image, image[0], image[0].bool(), index=0)
        >>> round(float(metric.compute()), 3)
        0.75
    """

    figures: ClassVar[dict[str, bool | None]] = {"patch_faithfulness": True}

    def _variants(self, region: Tensor) -> list[dict[str, Any]]:
        del region
        return [{"patch": PATCH}]

    def why_undefined(self, explained: ExplainedTask) -> str:
        """Return why the figure is not defined for a task."""
        return PerImageMetric.why_undefined(self, explained)
