"""Part stability: whether noise changes the parts that a prototype is active on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.checks import check_images, checked
from protoxai.metrics.base.intervals import Estimate, estimate
from protoxai.metrics.base.per_image import Index
from protoxai.metrics.prototype.part_hits import PartMetric, check_hits

NOISE = 0.2
MAPS = "images prototypes height width"


def part_stability(hits: Tensor, noisy_hits: Tensor) -> Tensor:
    """Return the share of pairs of a prototype and an image whose hit parts stay the same.

    Huang et al., ICCV 2023, section 3.

    Args:
        hits: Hits of the active prototypes, from :func:`part_hits`, (B, P, K).
        noisy_hits: Their hits in the images with noise.

    Returns:
        Scalar in [0, 1], over the pairs with a visible part; NaN if there are none.

    Example:
        >>> import torch
        >>> hits = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
        >>> part_stability(hits, torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
        tensor(0.5000, dtype=torch.float64)
    """
    check_hits("hits", hits)
    images, prototypes, parts = hits.shape
    sizes = {"images": images, "prototypes": prototypes, "parts": parts}
    check_hits("noisy_hits", noisy_hits, sizes)
    once = torch.ones(1, len(hits), dtype=torch.float64)
    return _share(_stable_pairs(hits, noisy_hits), once)[0]


def _stable_pairs(hits: Tensor, noisy_hits: Tensor) -> Tensor:
    """Return the number of stable pairs, and of all pairs, in each image (B, 2)."""
    shown = ~hits.isnan()
    pairs = shown.any(2)
    stable = ((hits == noisy_hits) | ~shown).all(2) & pairs
    counts = torch.stack([stable.sum(1), pairs.sum(1)], 1).double()
    return counts.masked_fill(counts[:, 1:] == 0, torch.nan).cpu()


def _share(rows: Tensor, counts: Tensor) -> Tensor:
    stable, pairs = (counts @ rows.nan_to_num()).unbind(1)
    return stable / pairs


class PartStability(PartMetric):
    """Share of pairs of a prototype and an image whose hit parts noise does not change.

    Higher is better. The noise on the normalised image is N(0, 0.2²). The interval is that of the
    share over resampled images, or groups of images. See :func:`part_hits` and
    :func:`part_stability`.

    Args:
        table: Class and scale of each prototype.
        part_class: Class of each part number, such as ``Shapes.part_class``.
        active: Indices of the prototypes that count, from ``active_prototypes``; None for all.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> metric = PartStability(PrototypeTable.regular(1, 1, 3), part_class=(0, 0, 0))
        >>> image, parts = torch.zeros(1, 3, 1, 5), torch.tensor([[[1, 1, 0, 0, 2]]])
        >>> image[..., 4] = 99
        >>> metric.update(lambda x: x, image, torch.zeros(1, 1, 5).long(), parts)
        >>> float(metric.compute())
        1.0
    """

    figures: ClassVar[dict[str, bool | None]] = {"part_stability": True}

    def _values_per_image(self) -> int:
        # Stable pairs, and all pairs.
        return 2

    @torch.no_grad()
    def update(
        self,
        activations_of: Callable[[Tensor], Tensor],
        images: Tensor,
        labels: Tensor,
        parts: Tensor,
        index: Index = None,
    ) -> None:
        """Add images with their labels and parts.

        Args:
            activations_of: Function of images that returns activations (B, P, h, w), such as
                ``lambda images: model(images).activations``.
            images: Normalised images (B, 3, H, W).
            labels: Labels (B, H, W).
            parts: Part number of every pixel (B, H, W), 0 for none.
            index: Data set index of each image.
        """
        activations_of = checked("activations_of", activations_of, MAPS, "floating point")
        indices = self.image_indices(index, check_images(images))
        active = self._pairs[0].unique()
        clean, noisy = (
            self._hits(activations_of(x), labels, parts)[:, active]
            for x in (images, images + self._noise(images, indices))
        )
        self.add_values(_stable_pairs(clean, noisy), indices)

    def _noise(self, images: Tensor, indices: Tensor) -> Tensor:
        """Return noise that depends on an image's index alone, not on its batch."""
        noise = [
            torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed))
            for seed in (indices + self.seed).tolist()
        ]
        return NOISE * torch.stack(noise).to(images)

    def _estimates(
        self, rows: Tensor, groups: Sequence[Hashable] | None = None
    ) -> dict[str, Estimate]:
        stability = estimate(rows, _share, groups=groups, resamples=self.resamples, seed=self.seed)
        return {"part_stability": stability}
