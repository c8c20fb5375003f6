"""Metrics over images: one row of values for each image, each image once over all processes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from protoxai.metrics.base.bootstrap import RESAMPLES, Estimate, estimate
from protoxai.runtime.distributed import is_distributed

Index = int | Sequence[int] | Tensor | None
"""Data set index of each image; None counts the images up, which only one process alone can."""


class ImageRows(Metric):
    """Keeps a row of values for each image, under the image's data set index.

    Rows are gathered over processes; an index that comes twice (samplers pad a process's share
    with images of another's) counts once.
    """

    indices: list[Tensor]
    rows: list[Tensor]
    full_state_update = False
    is_differentiable = False

    def _add_rows(self, width: int) -> None:
        self._width = width
        self.add_state("indices", [], dist_reduce_fx="cat")
        self.add_state("rows", [], dist_reduce_fx="cat")

    def _numbers(self, index: Index, images: int) -> Tensor:
        """Return the images' indices, int64 (images,) on the CPU."""
        if index is None:
            if is_distributed():
                raise ValueError(
                    "no index came, and several processes work together: give the data set "
                    "indices of the images, update(..., index=batch['index'])"
                )
            seen = sum(map(len, self.indices))
            return torch.arange(seen, seen + images)
        numbers = torch.as_tensor(index).cpu().reshape(-1)
        if numbers.is_floating_point() or numbers.dtype == torch.bool:
            raise TypeError(f"index holds {numbers.dtype}, expected whole numbers (int64)")
        if len(numbers) != images:
            raise ValueError(
                f"index holds {len(numbers)} numbers for {images} images: give each image's one"
            )
        return numbers.long()

    def _keep(self, numbers: Tensor, rows: Tensor) -> None:
        self.indices.append(numbers.to(self.device))
        rows = rows.detach().to(self.device, torch.float64)
        self.rows.append(rows.reshape(len(numbers), self._width))

    def _kept(self) -> tuple[Tensor, Tensor]:
        """Return indices (n,), ascending, each once, and their rows (n, width)."""
        indices, rows = self._all_rows()
        order = indices.argsort(stable=True)
        indices, rows = indices[order], rows[order]
        first = torch.ones_like(indices, dtype=torch.bool)
        first[1:] = indices[1:] != indices[:-1]
        return indices[first], rows[first]

    def _all_rows(self) -> tuple[Tensor, Tensor]:
        """Return indices and rows as they came."""
        # Gathered over processes they are tensors, else lists.
        if isinstance(self.rows, Tensor):
            return self.indices, self.rows
        no_indices = torch.zeros(0, dtype=torch.long, device=self.device)
        no_rows = torch.zeros(0, self._width, dtype=torch.float64, device=self.device)
        return torch.cat([no_indices, *self.indices]), torch.cat([no_rows, *self.rows])

    def _sync_dist(self, *args: Any, **options: Any) -> None:
        # A process without images has to offer rows of the same kind, or the others wait forever.
        indices, rows = self._all_rows()
        self.indices, self.rows = [indices], [rows]
        super()._sync_dist(*args, **options)


class PerImageMetric(ImageRows):
    """Base of the metrics whose figures are means over images.

    ``compute()`` gives an :class:`Estimate` (several figures: a dict of them): the mean over the
    images that define it, its 95 % bootstrap interval, and how many images do not.

    Args:
        resamples: of the bootstrap.
        seed: of the bootstrap, and of whatever else is drawn.
        options: of ``torchmetrics.Metric``.

    Attributes:
        figures: the name of each figure, and whether higher is better (None: neither).
    """

    figures: ClassVar[Mapping[str, bool | None]]

    def __init__(self, *, resamples: int = RESAMPLES, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.resamples = resamples
        self.seed = seed
        self._add_rows(len(self.figures))

    @abstractmethod
    def update(self, *args: Any, **options: Any) -> None:
        """Take in a batch of images."""

    def compute(self) -> Any:
        """Return the figure's :class:`Estimate`, or a dict of them by name."""
        return self._result(self._kept()[1])

    def forward(self, *args: Any, **options: Any) -> Any:
        """Take in a batch and return its own figures."""
        before = len(self.rows)
        self.update(*args, **options)
        result: Any = self._result(torch.cat(self.rows[before:]))
        self._forward_cache = result
        return result

    def estimates(self) -> dict[str, Estimate]:
        """Return every figure's estimate by name, over all processes."""
        with self.sync_context():
            return self._estimates(self._kept()[1])

    def per_image(self) -> tuple[Tensor, Tensor]:
        """Return the images' indices (n,) and what was kept of each (n, K), over all processes.

        Columns are the figures, in their order, where a figure is a mean over images.
        """
        with self.sync_context():
            return self._kept()

    def _result(self, rows: Tensor) -> Estimate | dict[str, Estimate]:
        estimates = self._estimates(rows)
        return estimates if len(estimates) > 1 else next(iter(estimates.values()))

    def _estimates(self, rows: Tensor) -> dict[str, Estimate]:
        return {
            name: estimate(column, resamples=self.resamples, seed=self.seed)
            for name, column in zip(self.figures, rows.T, strict=True)
        }
