"""Part consistency: whether a prototype shows the same part in every image, beyond chance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.metrics.base.checks import COUNT, SEED
from protoxai.metrics.base.intervals import Estimate
from protoxai.metrics.base.per_image import Index
from protoxai.metrics.base.wilson import wilson_interval
from protoxai.metrics.prototype.part_hits import check_hits, check_scenes
from protoxai.metrics.prototype.part_metric import PartMetric
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.checks import whole

HIT_RATE = 0.8
MIN_IMAGES = 10
PERMUTATIONS = 999


class Consistencies(NamedTuple):
    """Consistency of prototypes; ``float()`` returns the share minus chance.

    The part of a prototype is the one that it hits at the highest rate. A prototype whose parts are
    shown by too few images is not seen: its part is -1, its numbers are NaN, and it does not count.

    Attributes:
        share: Share of the seen prototypes that are consistent, in [0, 1].
        chance: The same for maps of other images of the class.
        part: Part of each prototype, int64 (P,).
        rate: Share of the images with that part in which the prototype hits it (P,).
        low: Lower end of the rate's 95 % interval (P,), Wilson, JASA 22, 1927.
        p: Share of random assignments of maps to other images of the class, and of the true one,
            whose highest rate is at least the prototype's, in [1/1000, 1].
        unseen: Prototypes that are not seen, int64.
    """

    share: float
    chance: float
    part: Tensor
    rate: Tensor
    low: Tensor
    p: Tensor
    unseen: Tensor

    def __float__(self) -> float:
        return self.share - self.chance

    def __str__(self) -> str:
        text = f"{float(self):.4g} ({self.share:.4g}, and {self.chance:.4g} by chance)"
        if len(self.unseen):
            names = ", ".join(map(str, self.unseen.tolist()))
            text += f"; {len(self.unseen)} prototypes are not seen: {names}"
        return text


def part_consistency(
    hits: Tensor, other_hits: Tensor, *, min_images: int = MIN_IMAGES, seed: int = 0
) -> Consistencies:
    """Return the share of prototypes that hit some part in more than 80 % of its images.

    The same share for maps of other images of the class is subtracted: so many prototypes are
    consistent by chance. Source of the share: Huang et al., "Evaluation and improvement of
    interpretability for self-explainable part-prototype networks", ICCV 2023, section 3.

    Args:
        hits: Hits of the active prototypes, from :func:`part_hits`, (B, P, K).
        other_hits: Their hits by maps of R other images, from :func:`chance_hits`, (B, R, P, K).
        min_images: Smallest number of images that have to show a part for it to count.
        seed: Seed of the random assignments.

    Returns:
        The share, its chance, and the part of each prototype; share and chance are NaN if no
        prototype is seen.

    Example:
        >>> import torch
        >>> hits = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 1.0]]])
        >>> print(part_consistency(hits, torch.zeros(2, 10, 2, 2), min_images=2))
        0.5 (0.5, and 0 by chance)
    """
    check_hits("hits", hits)
    images, prototypes, parts = hits.shape
    sizes = {"images": images, "prototypes": prototypes, "parts": parts}
    check_hits("other_hits", other_hits, "images partners prototypes parts", sizes)
    min_images, seed = whole("min_images", min_images, COUNT), whole("seed", seed, SEED)
    pairs = Pairs(
        torch.arange(prototypes).repeat_interleave(parts),
        torch.arange(parts).repeat(prototypes),
        prototypes,
    )
    rows, others = hits.double().cpu().flatten(1), other_hits.double().cpu().flatten(2)
    return _consistencies(rows, others, pairs, min_images, seed)


class Pairs(NamedTuple):
    """Pairs of a prototype and a part, in whose order hits are stored.

    Attributes:
        prototype: Prototype of each pair (Q,).
        part: Part of each pair (Q,).
        prototypes: Number of prototypes P.
    """

    prototype: Tensor
    part: Tensor
    prototypes: int

    def best(self, rates: Tensor) -> Tensor:
        """Return the highest rate (..., P) of each prototype's pairs (..., Q), 0 if it has none."""
        index = self.prototype.expand_as(rates)
        best = rates.new_zeros(*rates.shape[:-1], self.prototypes)
        return best.scatter_reduce(-1, index, rates, "amax")


def _consistencies(
    rows: Tensor, others: Tensor, pairs: Pairs, min_images: int, seed: int
) -> Consistencies:
    """Return the consistencies for hits (n, Q) and hits by chance (n, R, Q)."""
    once = torch.ones(1, len(rows), dtype=torch.float64)
    enough = _shown(rows) >= min_images
    share, chance = _share(rows, once, pairs, enough), _chance(others, once, pairs, enough)
    rates = _rates(rows, enough)
    best = pairs.best(rates)
    reached = (rates == best[pairs.prototype]) & enough
    # The first of the pairs with the highest rate; without a pair the prototype is not seen.
    first = torch.full((pairs.prototypes,), len(enough)).scatter_reduce(
        0, pairs.prototype[reached], reached.nonzero()[:, 0], "amin"
    )
    seen = first < len(enough)
    part, shown = torch.full((pairs.prototypes,), -1), torch.zeros_like(best)
    part[seen] = pairs.part[first[seen]]
    shown[seen] = _shown(rows)[first[seen]]
    nothing = best.masked_fill(~seen, torch.nan)
    return Consistencies(
        float(share),
        float(chance),
        part,
        nothing,
        _lower_ends(nothing, shown),
        _p_values(nothing, others, pairs, enough, seed),
        (~seen).nonzero()[:, 0],
    )


def _shown(rows: Tensor) -> Tensor:
    return (~rows.isnan()).double().sum(0)


def _rates(rows: Tensor, enough: Tensor) -> Tensor:
    """Return the hit rate (..., Q) of hits (n, ..., Q); 0 for pairs that do not count."""
    return rows.nanmean(0).nan_to_num() * enough


def _share(rows: Tensor, counts: Tensor, pairs: Pairs, enough: Tensor) -> Tensor:
    """Return the shares (R,), where image i of the hits (n, Q) counts ``counts[:, i]`` times."""
    shown = counts @ (~rows.isnan()).double() * enough
    rate = (counts @ rows.nan_to_num() / shown).nan_to_num(posinf=0) * enough
    consistent = pairs.best(rate) > HIT_RATE
    return consistent.sum(1) / (pairs.best(shown) > 0).sum(1).double()


def _chance(others: Tensor, counts: Tensor, pairs: Pairs, enough: Tensor) -> Tensor:
    """Return the mean share (R,) over the columns of hits by chance (n, columns, Q)."""
    shares = [_share(column, counts, pairs, enough) for column in others.unbind(1)]
    return torch.stack(shares).mean(0)


def _lower_ends(rates: Tensor, images: Tensor) -> Tensor:
    """Return the lower end of the interval of each rate among numbers of images; NaN for NaN."""
    ends = [
        wilson_interval(rate, int(number))[0] if number else torch.nan
        for rate, number in zip(rates.tolist(), images.tolist(), strict=True)
    ]
    return torch.tensor(ends, dtype=torch.float64)


def _p_values(best: Tensor, others: Tensor, pairs: Pairs, enough: Tensor, seed: int) -> Tensor:
    """Return the p of each prototype (P,) among random choices of one column for each image."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.arange(len(others))
    # Hits are NaN for the same images whatever the column, so that one count serves all.
    number = _shown(others[:, 0])
    reached = torch.ones_like(best)
    for _ in range(PERMUTATIONS):
        columns = torch.randint(others.shape[1], (len(others),), generator=generator)
        rates = (others[images, columns].nansum(0) / number).nan_to_num() * enough
        reached += pairs.best(rates) >= best
    known = pairs.best((~others.isnan()).flatten(0, 1).any(0) * enough.double()) > 0
    return (reached / (PERMUTATIONS + 1)).masked_fill(best.isnan() | ~known, torch.nan)


class PartConsistency(PartMetric):
    """Share of active prototypes that show the same part in every image, minus chance.

    Higher is better, and 0 is what maps of other images reach. See :func:`part_hits`,
    :func:`chance_hits` and :func:`part_consistency`. Prototypes whose parts fewer than
    ``min_images`` images show are left out; :meth:`per_prototype` names them. The interval is that
    of the difference over resampled images.

    Args:
        table: Class and scale of each prototype.
        part_class: Class of each part number, such as ``Shapes.part_class``.
        active: Indices of the prototypes that count, from ``active_prototypes``; None for all.
        min_images: Smallest number of images that have to show a part for it to count.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> table = PrototypeTable.regular(1, 1, 1)
        >>> metric = PartConsistency(table, part_class=(0, 0), min_images=2)
        >>> activations = torch.tensor([[[[9.0, 0.0, 0.0, 0.0]]], [[[0.0, 0.0, 0.0, 9.0]]]])
        >>> parts = torch.tensor([[[1, 0, 0, 0]], [[0, 0, 0, 1]]])
        >>> metric.update(activations, torch.zeros(2, 1, 4).long(), parts)
        >>> float(metric.compute()["part_consistency"])
        1.0
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "part_consistency": True,
        "consistent_prototypes": None,
        "consistent_by_chance": None,
    }

    def __init__(
        self,
        table: PrototypeTable,
        part_class: Sequence[int],
        active: Tensor | None = None,
        *,
        min_images: int = MIN_IMAGES,
        **options: Any,
    ) -> None:
        super().__init__(table, part_class, active, **options)
        self.min_images = whole("min_images", min_images, COUNT)

    def update(
        self, activations: Tensor, labels: Tensor, parts: Tensor, index: Index = None
    ) -> None:
        """Add activations (B, P, h, w), labels and parts (B, H, W)."""
        check_scenes(activations, labels, parts, self.table, self.part_class)
        self._add_scenes([activations], labels, parts, self.image_indices(index, len(labels)))

    def per_prototype(self) -> Consistencies:
        """Return part, rate and p of each active prototype, in the order of their indices.

        ``unseen`` holds indices of the table.
        """
        with self.sync_context():
            hits, others = self._split(self._unique_rows()[1])
        found = _consistencies(hits[:, 0], others, self._own_pairs(), self.min_images, self.seed)
        return found._replace(unseen=self._counted[found.unseen])

    def _own_pairs(self) -> Pairs:
        place = torch.searchsorted(self._counted, self._prototype)
        return Pairs(place, self._part, len(self._counted))

    def _estimates(
        self, rows: Tensor, groups: Sequence[Hashable] | None = None
    ) -> dict[str, Estimate]:
        hits, others = self._split(rows)
        pairs, columns = self._own_pairs(), (1 + others.shape[1], len(self._part))
        enough = _shown(hits[:, 0]) >= self.min_images
        values = torch.cat([hits, others], 1)

        def share(rows: Tensor, counts: Tensor) -> Tensor:
            return _share(rows.unflatten(1, columns)[:, 0], counts, pairs, enough)

        def chance(rows: Tensor, counts: Tensor) -> Tensor:
            return _chance(rows.unflatten(1, columns)[:, 1:], counts, pairs, enough)

        return self._minus_chance(values.flatten(1), share, chance, groups)
