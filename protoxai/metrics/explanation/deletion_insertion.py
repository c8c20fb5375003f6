"""Deletion and insertion: effect of removing or restoring pixels in order of attribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.metrics.base.checks import COUNT, SEED, checked
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.metrics.explanation.blur import gaussian_blur
from protoxai.runtime.checks import POSITIVE, number, whole
from protoxai.runtime.tensors import tensor

BLUR_SHARE = 1 / 16
Score = Callable[[Tensor], Tensor]
"""Function of images (n, 3, H, W) that returns the class's mean softmax over the region, (n,)."""


class Areas(NamedTuple):
    """Areas under the curves, scalars.

    Attributes:
        deletion: Area under the deletion curve; lower is better.
        insertion: Area under the insertion curve; higher is better.
    """

    deletion: Tensor
    insertion: Tensor


def deletion_insertion(
    score: Score,
    image: Tensor,
    attribution: Tensor,
    steps: int = 20,
    *,
    sigma: float | None = None,
    seed: int = 0,
    batch_size: int = 8,
) -> Areas:
    """Return the areas under the deletion and the insertion curve.

    Petsiuk, Das and Saenko, "RISE", BMVC 2018, section 4.1. Pixels are ordered by their signed
    attribution, the highest first, and change in equal steps: deletion replaces them by those of
    the blurred image, insertion restores them in the blurred image. The areas are sums of
    trapezoids on [0, 1].

    Args:
        score: Function of images (n, 3, H, W) that returns one number each, (n,): the class's mean
            softmax over the region, which is fixed from the original image.
        image: Normalised image, (3, H, W) or (1, 3, H, W).
        attribution: Attribution map, signed, (H, W) or (1, H, W); equal values are ordered at
            random.
        steps: Number of steps from 0 % to 100 %.
        sigma: Standard deviation of the blur in pixels; None for H / 16.
        seed: Seed of the order of equal values; a constant attribution has a random order.
        batch_size: Largest number of images to score at once.

    Returns:
        Scalars; NaN where the attribution or the score is NaN.

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
        score, image, attribution, steps, sigma=sigma, seed=seed, batch_size=batch_size
    )
    return Areas(*torch.trapezoid(curves, dx=1 / whole("steps", steps)).unbind())


@torch.no_grad()
def perturbation_curves(
    score: Score,
    image: Tensor,
    attribution: Tensor,
    steps: int = 20,
    *,
    sigma: float | None = None,
    seed: int = 0,
    batch_size: int = 8,
) -> Tensor:
    """Return the scores (2, steps + 1) along deletion and insertion, 0 % and 100 % included.

    Arguments and errors are those of :func:`deletion_insertion`.
    """
    image, attribution = _single(image, attribution)
    steps, batch_size = whole("steps", steps, COUNT), whole("batch_size", batch_size, COUNT)
    sigma = image.shape[1] * BLUR_SHARE if sigma is None else number("sigma", sigma, POSITIVE)
    seed, score = whole("seed", seed, SEED), checked("score", score, "images")
    values = attribution.flatten()
    if bool(values.isnan().any()):
        return values.new_full((2, steps + 1), torch.nan)
    shuffled = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
    shuffled = shuffled.to(values.device)
    order = shuffled[values[shuffled].argsort(descending=True, stable=True)]
    position = order.argsort().view_as(attribution)
    blurred = gaussian_blur(image[None], sigma)[0]
    thresholds = [round(step * len(values) / steps) for step in range(steps + 1)]
    states = [
        (old, new, t) for old, new in ((image, blurred), (blurred, image)) for t in thresholds
    ]
    scores = []
    for start in range(0, len(states), batch_size):
        batch = torch.stack(
            [torch.where(position < t, new, old) for old, new, t in states[start:][:batch_size]]
        )
        scores.append(score(batch))
    return torch.cat(scores).view(2, steps + 1)


def _single(image: Tensor, attribution: Tensor) -> tuple[Tensor, Tensor]:
    tensor("image", image, "... channels height width")
    tensor("attribution", attribution, "... height width", "real numbers")
    shapes = f"image has shape {tuple(image.shape)}, attribution {tuple(attribution.shape)}"
    if image.dim() == 4 and len(image) == 1:
        image = image[0]
    if attribution.dim() == 3 and len(attribution) == 1:
        attribution = attribution[0]
    if image.dim() != 3 or image.shape[1:] != attribution.shape:
        raise ValueError(
            f"{shapes}; expected one image (channels, height, width) and its map (height, width): "
            "resize the attribution to the image"
        )
    return image, attribution


@register_metric("deletion_insertion")
class DeletionInsertion(PerImageMetric):
    """Areas under the deletion and insertion curves, those of a random order, and their gaps.

    Deletion: lower is better; insertion and both gaps: higher is better. A constant attribution
    has a random order, so its gaps are 0. See :func:`deletion_insertion`.

    Args:
        steps: Number of steps from 0 % to 100 %.
        sigma: Standard deviation of the blur in pixels; None for H / 16.
        batch_size: Largest number of images to score at once.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 16, 16); image[:, 4, 4] = 1
        >>> metric = DeletionInsertion()
        >>> metric.update(lambda x: x[:, 0, 4, 4], image, image[0], index=0)
        >>> float(metric.compute()["deletion_gap"]) > 0
        True
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "deletion": False,
        "insertion": True,
        "random_deletion": None,
        "random_insertion": None,
        "deletion_gap": True,
        "insertion_gap": True,
    }
    # For deletion itself lower is better, as `figures` states.
    higher_is_better = True

    def __init__(
        self, steps: int = 20, *, sigma: float | None = None, batch_size: int = 8, **options: Any
    ) -> None:
        super().__init__(**options)
        self.steps = whole("steps", steps, COUNT)
        self.sigma = None if sigma is None else number("sigma", sigma, POSITIVE)
        self.batch_size = whole("batch_size", batch_size, COUNT)

    def update(self, score: Score, image: Tensor, attribution: Tensor, index: Index = None) -> None:
        """Add one image, its attribution, and the score of images like it."""
        indices = self.image_indices(index, 1)
        settings: dict[str, Any] = {
            "steps": self.steps,
            "sigma": self.sigma,
            "seed": self.seed + int(indices),
            "batch_size": self.batch_size,
        }
        own = deletion_insertion(score, image, attribution, **settings)
        random = deletion_insertion(score, image, torch.zeros_like(attribution), **settings)
        gaps = random.deletion - own.deletion, own.insertion - random.insertion
        self.add_values(torch.stack([*own, *random, *gaps])[None], indices)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add an explained task, scored by the class's softmax."""
        self.update(explained.softmax, explained.image[0], explained.map[0], index=explained.index)
