"""Faithfulness: whether what an attribution calls relevant matters more than what it does not."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.checks import COUNT
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.metrics.explanation.deletion_insertion import deletion_insertion
from protoxai.metrics.explanation.imputation import FILLS
from protoxai.metrics.explanation.perturbation_curves import Score
from protoxai.runtime.checks import choice, whole
from protoxai.runtime.tensors import tensor


def faithfulness(
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
) -> Tensor:
    """Return the area between the curves of insertion and deletion.

    Samek et al., "Evaluating the visualization of what a deep neural network has learned", IEEE
    TNNLS 2017, for the order; Petsiuk, Das and Saenko, "RISE", BMVC 2018, for the areas; Rong et
    al., "A consistent and efficient evaluation strategy for attribution methods", ICML 2022, for
    the imputation.

    Pixels are removed once with the least relevant first (insertion, read backwards) and once with
    the most relevant first (deletion). What the fill itself does to the score is in both areas and
    cancels: a map that has nothing to do with the model scores about 0, smooth or not, a constant
    map exactly 0, and the negative of a map the negative of its value.

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
        keep: Pixels that are never removed, bool (H, W); the region, for the faithfulness of the
            context alone. None for no such pixels.
        seed: Seed of the order of equal values.
        batch_size: Largest number of images to score at once.

    Returns:
        Scalar in [-1, 1] if the score is in [0, 1]; higher is better. NaN where the attribution or
        the score is NaN, and if there is no pixel to remove.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If a shape or a number does not fit.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 16, 16); image[:, 4, 4] = 1
        >>> value = faithfulness(lambda x: x[:, 0, 4, 4], image, image[0])
        >>> round(float(value), 3)
        0.95
    """
    areas = deletion_insertion(
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
    return areas.insertion - areas.deletion


@register_metric("faithfulness")
class Faithfulness(PerImageMetric):
    """Area between insertion and deletion: of all pixels, and of the context's alone.

    Higher is better for both; a map that has nothing to do with the model has about 0.
    ``context_faithfulness`` removes only pixels outside of the region, so it asks whether the map
    finds what else the model uses; NaN if the region is the whole image. See :func:`faithfulness`.

    Args:
        steps: Number of steps from 0 % to 100 %.
        fill: What replaces removed pixels, "impute", "blur" or "road".
        batch_size: Largest number of images to score at once.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 32, 32); image[:, 4, 4] = 1
        >>> region = image[0].bool()
        >>> metric = Faithfulness()
        >>> metric.update(lambda x: x[:, 0, 4, 4], image, image[0], region, index=0)
        >>> round(float(metric.compute()["faithfulness"]), 3)
        0.95
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "faithfulness": True,
        "context_faithfulness": True,
    }
    higher_is_better = True

    def __init__(
        self, steps: int = 20, *, fill: str = "impute", batch_size: int = 8, **options: Any
    ) -> None:
        super().__init__(**options)
        self.steps = whole("steps", steps, COUNT)
        self.fill = choice("fill", fill, FILLS)
        self.batch_size = whole("batch_size", batch_size, COUNT)

    def update(
        self,
        score: Score,
        image: Tensor,
        attribution: Tensor,
        region: Tensor,
        index: Index = None,
    ) -> None:
        """Add one image and its attribution.

        Args:
            score: Function of images (n, 3, H, W) that returns one number each, (n,).
            image: Normalised image, (3, H, W) or (1, 3, H, W).
            attribution: Attribution map, signed, (H, W) or (1, H, W).
            region: Pixels that are explained, bool (H, W) or (1, H, W).
            index: Data set index of the image.
        """
        indices = self.image_indices(index, 1)
        tensor("attribution", attribution, "... height width", "real numbers")
        sizes = dict(zip(("height", "width"), attribution.shape[-2:], strict=True))
        tensor("region", region, "... height width", "bool", sizes=sizes)
        values = [
            faithfulness(
                score,
                image,
                attribution,
                self.steps,
                fill=self.fill,
                seed=self.seed + int(indices),
                batch_size=self.batch_size,
                **variant,
            )
            for variant in self._variants(region)
        ]
        self.add_values(torch.stack(values)[None], indices)

    def _variants(self, region: Tensor) -> list[dict[str, Any]]:
        """Return the options of each figure."""
        return [{}, {"keep": region}]

    def update_from(self, explained: ExplainedTask) -> None:
        """Add an explained task, scored by the class's softmax."""
        self.update(
            explained.softmax,
            explained.image[0],
            explained.map[0],
            explained.region[0],
            index=explained.index,
        )

    def why_undefined(self, explained: ExplainedTask) -> str:
        """Return why figures are not defined for a task."""
        if bool(explained.region.all()):
            return "the region is the whole image, which leaves no context"
        return super().why_undefined(explained)
