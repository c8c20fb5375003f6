"""Perturbation agreement: how well an attribution predicts the effect of removing squares."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.checks import COUNT, SEED, checked
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.metrics.explanation.imputation import FILLS
from protoxai.metrics.explanation.perturbation_curves import Score, one_explained
from protoxai.runtime.checks import choice, whole

SIDES = 16, 64
"""Smallest and largest side of a removed square, in pixels."""
DRAWS = 200


@torch.no_grad()
def perturbation_agreement(
    score: Score,
    image: Tensor,
    attribution: Tensor,
    *,
    draws: int = DRAWS,
    fill: str = "impute",
    seed: int = 0,
    batch_size: int = 8,
) -> Tensor:
    """Return the share of the score's changes that an attribution predicts.

    The infidelity of Yeh et al., "On the (in)fidelity and sensitivity of explanations", NeurIPS
    2019, definition 2.1, with removed squares (section 3.1 there) and as a share. One square at a
    time, of 16 to 64 pixels, is removed; the attribution predicts a change of the score in
    proportion to its sum over the square. With the best factor, the share of the changes' squares
    that is predicted is R² = cos² of the angle between predictions and changes.

    Args:
        score: Function of images (n, 3, H, W) that returns one number each, (n,), such as the
            class's mean logit over the region.
        image: Normalised image, (3, H, W) or (1, 3, H, W).
        attribution: Attribution map, signed, (H, W) or (1, H, W).
        draws: Number of squares, of random sides and places; a side is at most half of the image's
            shorter one.
        fill: What replaces removed pixels, "impute", "blur" or "road", see
            :func:`perturbation_curves`.
        seed: Seed of the squares.
        batch_size: Largest number of images to score at once.

    Returns:
        Scalar in [0, 1], float64. An attribution that predicts the opposite
        changes, which would have the same R² by a negative factor, has 0. NaN where all predictions
        or all changes are 0, or the attribution or the score is NaN.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If a shape or a number does not fit.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 64, 64); image[:, 24:40, 24:40] = 1
        >>> agreement = perturbation_agreement(lambda x: x.sum((1, 2, 3)), image, image[0])
        >>> bool(agreement > 0.5)
        True
    """
    image, attribution = one_explained(image, attribution)
    draws, batch_size = whole("draws", draws, COUNT), whole("batch_size", batch_size, COUNT)
    seed, score = whole("seed", seed, SEED), checked("score", score, "images")
    filled = FILLS[choice("fill", fill, FILLS)](image)
    squares = random_squares(draws, (image.shape[1], image.shape[2]), seed).to(image.device)
    scores = [score(image[None]), *(score(filled(some)) for some in squares.split(batch_size))]
    before, after = torch.cat(scores).double().split([1, draws])
    predicted = squares.flatten(1).double() @ attribution.double().flatten()
    changes = before - after
    product: Tensor = predicted @ changes
    agreement: Tensor = product.square() / (predicted.square().sum() * changes.square().sum())
    return agreement.masked_fill(product < 0, 0)


def random_squares(draws: int, size: tuple[int, int], seed: int) -> Tensor:
    """Return random squares as masks, bool (draws, H, W), entirely inside of the image."""
    generator = torch.Generator().manual_seed(seed)
    largest = max(1, min(SIDES[1], min(size) // 2))
    smallest = min(SIDES[0], largest)
    sides = torch.randint(smallest, largest + 1, (draws,), generator=generator)
    inside = []
    for length in size:
        first = (torch.rand(draws, generator=generator) * (length - sides + 1)).long()
        pixels = torch.arange(length)
        inside.append((pixels >= first[:, None]) & (pixels < (first + sides)[:, None]))
    return inside[0][:, :, None] & inside[1][:, None]


@register_metric("perturbation_agreement")
class PerturbationAgreement(PerImageMetric):
    """Share of the changes by removed squares that an attribution predicts.

    A constant map, which predicts that larger squares have a larger effect, may predict more than
    an explainer, so the figure has no direction. See :func:`perturbation_agreement`.

    Args:
        draws: Number of squares.
        fill: What replaces removed pixels, "impute", "blur" or "road".
        batch_size: Largest number of images to score at once.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 64, 64); image[:, 24:40, 24:40] = 1
        >>> metric = PerturbationAgreement()
        >>> metric.update(lambda x: x.sum((1, 2, 3)), image, image[0], index=0)
        >>> float(metric.compute()) > 0.5
        True
    """

    figures: ClassVar[dict[str, bool | None]] = {"perturbation_agreement": None}
    higher_is_better = None

    def __init__(
        self, draws: int = DRAWS, *, fill: str = "impute", batch_size: int = 8, **options: Any
    ) -> None:
        super().__init__(**options)
        self.draws = whole("draws", draws, COUNT)
        self.fill = choice("fill", fill, FILLS)
        self.batch_size = whole("batch_size", batch_size, COUNT)

    def update(self, score: Score, image: Tensor, attribution: Tensor, index: Index = None) -> None:
        """Add one image, its attribution, and the score of images like it."""
        indices = self.image_indices(index, 1)
        value = perturbation_agreement(
            score,
            image,
            attribution,
            draws=self.draws,
            fill=self.fill,
            seed=self.seed + int(indices),
            batch_size=self.batch_size,
        )
        self.add_values(value[None], indices)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add an explained task, scored by the class's logit."""
        self.update(explained.logit, explained.image[0], explained.map[0], index=explained.index)
