"""Part stability: whether noise changes the parts a prototype looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.bootstrap import Estimate, estimate
from protoxai.metrics.base.per_image import Index
from protoxai.metrics.prototype.part_hits import PartMetric

NOISE = 0.2


def part_stability(hits: Tensor, noisy_hits: Tensor) -> Tensor:
    """Return the share of pairs of a prototype and an image whose hit parts stay the same.

    Huang et al., ICCV 2023, section 3.

    Args:
        hits: of the active prototypes, from :func:`part_hits` (B, P, K).
        noisy_hits: the same for the images with noise.

    Returns:
        Scalar in [0, 1], over the pairs where a part is shown; NaN if there is none.

    Example:
        >>> import torch
        >>> hits = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
        >>> part_stability(hits, torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
        tensor(0.5000, dtype=torch.float64)
    """
    once = torch.ones(1, len(hits), dtype=torch.float64)
    return _share(_stable_pairs(hits, noisy_hits), once)[0]


def _stable_pairs(hits: Tensor, noisy_hits: Tensor) -> Tensor:
    """Return for each image how many of its pairs are stable, and how many it has (B, 2)."""
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

    Higher is better. Noise N(0, 0.2²) on the normalised image. The interval is that of the share
    over resampled images.

    Args:
        table: see :class:`PartMetric`, as of the other arguments.

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
        return 2  # stable pairs, and all

    @torch.no_grad()
    def update(
        self,
        activations_of: Callable[[Tensor], Tensor],
        images: Tensor,
        labels: Tensor,
        parts: Tensor,
        index: Index = None,
    ) -> None:
        """Take in images (B, 3, H, W), labels and parts (B, H, W).

        Args:
            activations_of: from images to activations (B, P, h, w), such as
                ``lambda images: model(images).activations``.
            images: normalised.
            labels: of every pixel.
            parts: part number of every pixel, 0 = none.
            index: data set index of each image.
        """
        numbers = self._numbers(index, len(images))
        active = self._pairs[0].unique()
        clean, noisy = (
            self._hits(activations_of(x), labels, parts)[:, active]
            for x in (images, images + self._noise(images, numbers))
        )
        self._keep(numbers, _stable_pairs(clean, noisy))

    def _noise(self, images: Tensor, numbers: Tensor) -> Tensor:
        """Return noise that depends on an image's index alone, not on its batch."""
        draws = [
            torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed))
            for seed in (numbers + self.seed).tolist()
        ]
        return NOISE * torch.stack(draws).to(images)

    def _estimates(self, rows: Tensor) -> dict[str, Estimate]:
        found = estimate(rows, _share, resamples=self.resamples, seed=self.seed)
        return {"part_stability": found}
