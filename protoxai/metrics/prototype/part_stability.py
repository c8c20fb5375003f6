"""Part stability: whether noise changes the parts that a prototype is active on, beyond chance."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.metrics.base.checks import check_images, checked
from protoxai.metrics.base.intervals import Estimate
from protoxai.metrics.base.per_image import Index
from protoxai.metrics.prototype.part_hits import check_hits
from protoxai.metrics.prototype.part_metric import PartMetric
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.checks import Range, number

NOISE = 0.2
MAPS = "images prototypes height width"


class Stability(NamedTuple):
    """Stability of parts; ``float()`` returns the share minus chance.

    Attributes:
        share: Share of the pairs of a prototype and an image whose hit parts stay the same.
        chance: Share of them that have the same hit parts by the noisy map of another image.
    """

    share: float
    chance: float

    def __float__(self) -> float:
        return self.share - self.chance


def part_stability(hits: Tensor, noisy_hits: Tensor, other_hits: Tensor) -> Stability:
    """Return the share of pairs of a prototype and an image whose hit parts noise does not change.

    The same share for maps of other images of the class is subtracted. Source of the share: Huang
    et al., "Evaluation and improvement of interpretability for self-explainable part-prototype
    networks", ICCV 2023, section 3.

    Args:
        hits: Hits of the active prototypes, from :func:`part_hits`, (B, P, K).
        noisy_hits: Their hits in the images with noise.
        other_hits: Their hits by the maps of R other images with noise, from :func:`chance_hits`,
            (B, R, P, K).

    Returns:
        Share and chance, in [0, 1], over the pairs with a visible part; NaN if there are none.

    Example:
        >>> import torch
        >>> hits = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
        >>> noisy_hits = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> part_stability(hits, noisy_hits, torch.ones(1, 10, 2, 2))
        Stability(share=0.5, chance=0.0)
    """
    check_hits("hits", hits)
    images, prototypes, parts = hits.shape
    sizes = {"images": images, "prototypes": prototypes, "parts": parts}
    check_hits("noisy_hits", noisy_hits, sizes=sizes)
    check_hits("other_hits", other_hits, "images partners prototypes parts", sizes)
    vectors = torch.cat([noisy_hits[:, None], other_hits], 1)
    counts = _same_vectors(hits, vectors).sum(0)
    return Stability(*(float(own / pairs) for own, pairs in (counts[0], counts[1:].sum(0))))


def _same_vectors(hits: Tensor, vectors: Tensor) -> Tensor:
    """Return how many prototypes hit the same parts, and how many there are, (B, V, 2).

    Args:
        hits: Hits (B, P, K).
        vectors: Hits by V other maps (B, V, P, K), NaN throughout where there is no such map.
    """
    shown = ~hits.isnan()[:, None]
    pairs = shown.any(3) & ~(vectors.isnan() & shown).any(3)
    same = ((vectors == hits[:, None]) | ~shown).all(3) & pairs
    return torch.stack([same.sum(2), pairs.sum(2)], 2).double().cpu()


def _ratio(counts: Tensor) -> Tensor:
    return counts[:, 0] / counts[:, 1]


class PartStability(PartMetric):
    """Share of pairs of a prototype and an image whose hit parts noise does not change.

    The same share for noisy maps of other images of the class, chance, is subtracted: 0 is what a
    map reaches that does not depend on the image. Higher is better. The noise on the normalised
    image is N(0, 0.2²). The interval is that of the difference over resampled images. See
    :func:`part_hits`, :func:`chance_hits` and :func:`part_stability`.

    Args:
        table: Class and scale of each prototype.
        part_class: Class of each part number, such as ``Shapes.part_class``.
        active: Indices of the prototypes that count, from ``active_prototypes``; None for all.
        clip: Largest size of the noise, to which it is clipped (0.25 in Huang et al.); None for no
            limit.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> metric = PartStability(PrototypeTable.regular(1, 1, 3), part_class=(0, 0, 0))
        >>> images, labels = torch.zeros(2, 3, 1, 5), torch.zeros(2, 1, 5).long()
        >>> images[0, ..., 0], images[1, ..., 4] = 99, 99
        >>> metric.update(lambda x: x, images, labels, torch.tensor([[[1, 0, 0, 0, 2]]] * 2))
        >>> {name: float(value) for name, value in metric.compute().items()}
        {'part_stability': 1.0, 'stable_pairs': 1.0, 'stable_by_chance': 0.0}
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "part_stability": True,
        "stable_pairs": None,
        "stable_by_chance": None,
    }
    hits_per_pair = 2

    def __init__(
        self,
        table: PrototypeTable,
        part_class: Sequence[int],
        active: Tensor | None = None,
        *,
        clip: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(table, part_class, active, **options)
        self.clip = None if clip is None else number("clip", clip, Range(above=0))

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
        noisy = images + self._noise(images, indices)
        maps = [activations_of(images), activations_of(noisy)]
        self._add_scenes(maps, labels, parts, indices)

    def _noise(self, images: Tensor, indices: Tensor) -> Tensor:
        """Return noise that depends on an image's index alone, not on its batch."""
        noise = [
            torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed))
            for seed in (indices + self.seed).tolist()
        ]
        drawn = NOISE * torch.stack(noise).to(images)
        return drawn if self.clip is None else drawn.clamp(-self.clip, self.clip)

    def _estimates(
        self, rows: Tensor, groups: Sequence[Hashable] | None = None
    ) -> dict[str, Estimate]:
        hits, others = self._split(rows)
        own = self._by_prototype(hits)
        vectors = torch.cat([own[:, 1:], self._by_prototype(others)], 1)
        same = _same_vectors(own[:, 0], vectors)
        same = same.masked_fill(same[:, :1, 1:] == 0, torch.nan)

        def share(rows: Tensor, counts: Tensor) -> Tensor:
            return _ratio(counts @ rows.unflatten(1, (-1, 2))[:, 0].nan_to_num())

        def chance(rows: Tensor, counts: Tensor) -> Tensor:
            return _ratio(counts @ rows.unflatten(1, (-1, 2))[:, 1:].nan_to_num().sum(1))

        return self._minus_chance(same.flatten(1), share, chance, groups)
