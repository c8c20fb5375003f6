"""Perturbation curves: scores while pixels are removed or restored in order of attribution."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from protoxai.metrics.base.checks import COUNT, SEED, checked
from protoxai.metrics.explanation.imputation import FILLS
from protoxai.runtime.checks import choice, whole
from protoxai.runtime.tensors import tensor

Score = Callable[[Tensor], Tensor]
"""Function of images (n, 3, H, W) that returns the class's mean softmax over the region, (n,)."""


@torch.no_grad()
def perturbation_curves(
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
    """Return the scores along deletion and insertion.

    Deletion removes the pixels in order of their signed attribution, the highest first, in equal
    steps. Insertion restores them in this order, so it is the deletion of the negative map, read
    backwards.

    Args:
        score: Function of images (n, 3, H, W) that returns one number each, (n,): the class's mean
            softmax over the region, which is fixed from the original image.
        image: Normalised image, (3, H, W) or (1, 3, H, W).
        attribution: Attribution map, signed, (H, W) or (1, H, W); equal values are removed in
            random order.
        steps: Number of steps from 0 % to 100 %.
        fill: What replaces removed pixels: "impute" for averages of the pixels that are left around
            them, "blur" for the image blurred with σ = H / 16, "road" for noisy linear imputation
            (Rong et al., ICML 2022), which is slower.
        patch: Side in pixels of the squares that are removed as one, in the order of their mean
            attribution; 1 for single pixels.
        keep: Pixels that are never removed, bool, (H, W) or (1, H, W); None for no such pixels.
        seed: Seed of the order of equal values.
        batch_size: Largest number of images to score at once.

    Returns:
        Scores (2, steps + 1) along deletion and insertion, 0 % and 100 % included; NaN where the
        attribution or the score is NaN, and if there is no pixel to remove.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If a shape or a number does not fit.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 8, 8); image[:, 4, 4] = 1
        >>> perturbation_curves(lambda x: x[:, 0, 4, 4], image, image[0], steps=2, fill="impute")
        tensor([[1.0000, 0.0000, 0.0156],
                [0.0156, 1.0000, 1.0000]])
    """
    image, attribution = one_explained(image, attribution)
    steps, batch_size = whole("steps", steps, COUNT), whole("batch_size", batch_size, COUNT)
    seed, score = whole("seed", seed, SEED), checked("score", score, "images")
    filled = FILLS[choice("fill", fill, FILLS)](image)
    units, count = _units(attribution, whole("patch", patch, COUNT), keep)
    if not count or bool(attribution.isnan().any()):
        return attribution.new_full((2, steps + 1), torch.nan, dtype=torch.float32)
    values = _means(attribution, units, count)
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    shuffled = shuffled.to(values.device)
    thresholds = [round(step * count / steps) for step in range(steps + 1)]
    states = []
    for descending, order in ((True, thresholds), (False, thresholds[::-1])):
        ranked = shuffled[values[shuffled].argsort(descending=descending, stable=True)]
        # Pixels that are kept have the number behind the last unit, and the last position.
        position = torch.cat([ranked.argsort(), ranked.new_tensor([count])])[units]
        states += [(position, threshold) for threshold in order]
    scores = []
    for start in range(0, len(states), batch_size):
        removed = [position < threshold for position, threshold in states[start:][:batch_size]]
        scores.append(score(filled(torch.stack(removed))))
    return torch.cat(scores).view(2, steps + 1)


def _units(attribution: Tensor, patch: int, keep: Tensor | None) -> tuple[Tensor, int]:
    """Return the number of each pixel's unit, int64 (H, W), and the number of units."""
    height, width = attribution.shape
    rows, columns = (
        torch.arange(length, device=attribution.device) // patch for length in (height, width)
    )
    squares = rows[:, None] * (-(-width // patch)) + columns
    if keep is not None:
        keep = tensor("keep", keep, "... height width", "bool")
        if keep.shape not in ((height, width), (1, height, width)):
            raise ValueError(
                f"keep has shape {tuple(keep.shape)}, expected the attribution's {height, width}"
            )
        squares = squares.masked_fill(keep.view(height, width), squares.numel())
    numbers, units = squares.unique(return_inverse=True)
    return units, int((numbers < squares.numel()).sum())


def _means(attribution: Tensor, units: Tensor, count: int) -> Tensor:
    """Return each unit's mean attribution, float64 (count,); their sizes may differ."""
    sums, sizes = attribution.new_zeros(2, count + 1, dtype=torch.float64)
    sums.index_add_(0, units.flatten(), attribution.double().flatten())
    sizes.index_add_(0, units.flatten(), torch.ones_like(attribution).double().flatten())
    means: Tensor = sums / sizes
    return means[:count]


def one_explained(image: Tensor, attribution: Tensor) -> tuple[Tensor, Tensor]:
    """Return an image (C, H, W) and its map (H, W), or raise an error if they are no such."""
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
