"""Part consistency: whether a prototype shows the same part in every image."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.intervals import Estimate, estimate
from protoxai.metrics.base.per_image import Index
from protoxai.metrics.prototype.part_hits import PartMetric, check_hits

HIT_RATE = 0.8


def part_consistency(hits: Tensor) -> Tensor:
    """Return the share of prototypes that hit some part in more than 80 % of its images.

    Args:
        hits: Hits of the active prototypes, from :func:`part_hits`, (B, P, K).

    Returns:
        Scalar in [0, 1], over the prototypes with any part in the images; NaN if there are none.

    Example:
        >>> import torch
        >>> hits = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 1.0]]])
        >>> part_consistency(hits)
        tensor(0.5000, dtype=torch.float64)
    """
    check_hits("hits", hits)
    prototypes = torch.arange(hits.shape[1]).repeat_interleave(hits.shape[2])
    once = torch.ones(1, len(hits), dtype=torch.float64)
    return _share(hits.double().cpu().flatten(1), once, prototypes, hits.shape[1])[0]


def _share(rows: Tensor, counts: Tensor, prototypes: Tensor, number: int) -> Tensor:
    """Return the shares (R,) of rows (n, pairs), where image i counts ``counts[:, i]`` times."""
    shown = counts @ (~rows.isnan()).double()
    rate = counts @ rows.nan_to_num() / shown
    empty = torch.zeros(len(counts), number, dtype=torch.float64)
    consistent = empty.index_add(1, prototypes, (rate > HIT_RATE).double()) > 0
    visible = empty.index_add(1, prototypes, shown) > 0
    return consistent.sum(1) / visible.sum(1).double()


class PartConsistency(PartMetric):
    """Share of active prototypes that show the same part in every image; higher is better.

    See :func:`part_hits` and :func:`part_consistency`. Prototypes of classes without a visible part
    are left out. The interval is that of the share over resampled images.

    Args:
        table: Class and scale of each prototype.
        part_class: Class of each part number, such as ``Shapes.part_class``.
        active: Indices of the prototypes that count, from ``active_prototypes``; None for all.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> metric = PartConsistency(PrototypeTable.regular(1, 1, 1), part_class=(0, 0, 0))
        >>> activations = torch.tensor([[[[0.0, 0.0, 0.0, 0.0, 9.0]]]])
        >>> parts = torch.tensor([[[1, 1, 0, 0, 2]]])
        >>> metric.update(activations, torch.zeros(1, 1, 5).long(), parts)
        >>> float(metric.compute())
        1.0
    """

    figures: ClassVar[dict[str, bool | None]] = {"part_consistency": True}

    def _values_per_image(self) -> int:
        return len(self._pairs[0])

    def update(
        self, activations: Tensor, labels: Tensor, parts: Tensor, index: Index = None
    ) -> None:
        """Add activations (B, P, h, w), labels and parts (B, H, W)."""
        hits = self._hits(activations, labels, parts)
        self.add_values(hits[:, *self._pairs], index)

    def _estimates(
        self, rows: Tensor, groups: Sequence[Hashable] | None = None
    ) -> dict[str, Estimate]:
        def share(rows: Tensor, counts: Tensor) -> Tensor:
            return _share(rows, counts, self._pairs[0], len(self.table))

        consistency = estimate(rows, share, groups=groups, resamples=self.resamples, seed=self.seed)
        return {"part_consistency": consistency}
