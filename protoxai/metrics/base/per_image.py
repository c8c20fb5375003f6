"""Metrics over images: one row of values for each image, each image once over all processes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from protoxai.metrics.base.arguments import constructor_arguments
from protoxai.metrics.base.checks import COUNT, SEED
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.groups import GroupOf, groups_by_index
from protoxai.metrics.base.intervals import RESAMPLES, Estimate, estimate
from protoxai.runtime.checks import function, shown, whole
from protoxai.runtime.distributed import is_distributed
from protoxai.runtime.representation import call_repr

Index = int | Sequence[int] | Tensor | None
"""Data set index of each image; None numbers the images, which needs a single process."""


def indices_of(index: int | Sequence[int] | Tensor) -> Tensor:
    """Return data set indices as int64 (images,), on the CPU.

    Raises:
        TypeError: If they are not whole numbers.
    """
    try:
        indices = torch.as_tensor(index).cpu().reshape(-1)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"index is {shown(index)}, expected whole numbers") from None
    if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
        raise TypeError(f"index holds {indices.dtype}, expected whole numbers (int64)")
    return indices.long()


class ImageRows(Metric):
    """Base of the metrics that keep a row of values for each image, by its data set index.

    Rows are gathered over processes. An image that several processes have, because samplers pad
    their shares, counts once.
    """

    indices: list[Tensor]
    rows: list[Tensor]
    full_state_update = False
    is_differentiable = False

    def image_indices(self, index: Index, images: int) -> Tensor:
        """Return the data set indices of a batch, int64 (images,) on the CPU.

        Args:
            index: Indices as given to ``update``; None continues the numbering of earlier images.
            images: Number of images in the batch.

        Raises:
            ValueError: If there are not as many indices as images, or there are none and several
                processes work together.
            TypeError: If the indices are not whole numbers.
        """
        if index is None:
            if is_distributed():
                raise ValueError(
                    "got no index, but several processes work together: give the data set indices "
                    "of the images, update(..., index=batch['index'])"
                )
            before = sum(map(len, self.indices))
            return torch.arange(before, before + images)
        indices = indices_of(index)
        if len(indices) != images:
            raise ValueError(
                f"index holds {len(indices)} numbers for {images} images, expected one for each"
            )
        return indices

    def add_values(self, values: Tensor, index: Index = None) -> None:
        """Add the values of a batch of images.

        Args:
            values: Values (B,), or (B, K) of K figures; NaN where a figure is not defined.
            index: Data set index of each image; None numbers them.

        Raises:
            ValueError: If there are not as many values per image as figures, or not as many
                indices as images.
            TypeError: If the values are not a tensor, or the indices not whole numbers.
        """
        expected = "(B,), one for each image" if self._width == 1 else f"(B, {self._width})"
        if not isinstance(values, Tensor):
            raise TypeError(f"got values {shown(values)}, expected a tensor {expected}")
        if values.ndim == 0 or values.numel() != len(values) * self._width:
            raise ValueError(f"got values of shape {tuple(values.shape)}, expected {expected}")
        indices = self.image_indices(index, len(values))
        rows = values.detach().to(self.device, torch.float64)
        self.indices.append(indices.to(self.device))
        self.rows.append(rows.reshape(len(indices), self._width))

    def __repr__(self) -> str:
        return call_repr(self, **constructor_arguments(self))

    def _add_rows(self, width: int) -> None:
        self._width = width
        self.add_state("indices", [], dist_reduce_fx="cat")
        self.add_state("rows", [], dist_reduce_fx="cat")

    def _unique_rows(self) -> tuple[Tensor, Tensor]:
        """Return the indices (n,), ascending, each once, and their rows (n, width)."""
        indices, rows = self._all_rows()
        order = indices.argsort(stable=True)
        indices, rows = indices[order], rows[order]
        first = torch.ones_like(indices, dtype=torch.bool)
        first[1:] = indices[1:] != indices[:-1]
        return indices[first], rows[first]

    def _all_rows(self) -> tuple[Tensor, Tensor]:
        """Return the indices and rows in the order in which they were added."""
        # Gathered over processes they are tensors, otherwise lists.
        if isinstance(self.rows, Tensor):
            return self.indices, self.rows
        no_indices = torch.zeros(0, dtype=torch.long, device=self.device)
        no_rows = torch.zeros(0, self._width, dtype=torch.float64, device=self.device)
        return torch.cat([no_indices, *self.indices]), torch.cat([no_rows, *self.rows])

    def _sync_dist(self, *args: Any, **options: Any) -> None:
        # A process without images must contribute empty rows, or the others would wait forever.
        indices, rows = self._all_rows()
        self.indices, self.rows = [indices], [rows]
        super()._sync_dist(*args, **options)


class PerImageMetric(ImageRows):
    """Base of the metrics whose figures are means over images.

    ``compute()`` returns an :class:`Estimate` (a dict of them if there are several figures): the
    mean over the images for which the figure is defined, its 95 % interval, and the number of
    images for which it is not. If images belong together, :meth:`estimates` has the interval over
    their groups.

    A subclass names its ``figures`` and implements :meth:`update`, which ends in
    :meth:`add_values`. To be part of comparisons it implements :meth:`update_from` and is
    registered with :func:`~protoxai.metrics.register_metric`. A constructor of its own passes
    ``**options: Any`` on and keeps each argument in an attribute of the same name; comparisons use
    the defaults.

    Args:
        resamples: Number of resamples where the interval is a bootstrap's.
        seed: Seed of the bootstrap and of the metric's own random numbers.
        **options: Options of ``torchmetrics.Metric``.

    Attributes:
        figures: Name of each figure, and whether higher is better (None: neither).
        shares: Names of the figures whose values are 0 or 1; their interval is Wilson's.
        needs: Attributes of tasks without which there is no value, such as "labels", and what is
            missing then: a comparison of tasks that have none leaves the metric out.

    Example:
        >>> import torch
        >>> class Brightness(PerImageMetric):
        ...     figures = {"brightness": None}
        ...     def update(self, images, index=None):
        ...         self.add_values(images.flatten(1).mean(1), index)
        >>> metric = Brightness()
        >>> metric.update(torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]]), index=[4, 7])
        >>> float(metric.compute())
        0.25
        >>> metric
        Brightness(resamples=1000, seed=0)
    """

    figures: ClassVar[Mapping[str, bool | None]]
    shares: ClassVar[Collection[str]] = ()
    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, resamples: int = RESAMPLES, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.resamples = whole("resamples", resamples, COUNT)
        self.seed = whole("seed", seed, SEED)
        self._add_rows(len(self.figures))

    @classmethod
    def for_model(cls, model: nn.Module, *, seed: int = 0) -> Self:
        """Return the metric as a comparison uses it for explainers of a model.

        Args:
            model: Model that is explained; most metrics do not depend on it.
            seed: Seed of the metric.
        """
        del model
        return cls(seed=seed)

    @abstractmethod
    def update(self, *args: Any, **options: Any) -> None:
        """Add a batch of images."""

    def update_from(self, explained: ExplainedTask) -> None:
        """Add a task of a comparison and its explanation.

        Args:
            explained: The task and its explanation.

        Raises:
            UndefinedError: If the metric is not defined for the explainer.
            NotImplementedError: If the metric cannot be part of a comparison.
        """
        raise NotImplementedError(f"{type(self).__name__} does not measure single explanations")

    def why_undefined(self, explained: ExplainedTask) -> str:
        """Return why figures are not defined for a task, for the notes of a comparison.

        Args:
            explained: A task for which a value is NaN.
        """
        if not bool(explained.region.any()):
            return "the model does not predict the class"
        if not bool(explained.truth.any()):
            return "the class is not labelled"
        low, high = (float(value) for value in explained.map.aminmax())
        if low == high:
            return f"the map is {low:g} everywhere"
        return "the metric has no value" if high > 0 else "no value of the map is positive"

    def compute(self) -> Any:
        """Return the figure's :class:`Estimate`, or a dict of them by name."""
        return self._result(self._unique_rows()[1])

    def forward(self, *args: Any, **options: Any) -> Any:
        """Add a batch and return the figures of this batch alone."""
        before = len(self.rows)
        self.update(*args, **options)
        result: Any = self._result(torch.cat(self.rows[before:]))
        self._forward_cache = result
        return result

    def estimates(self, group_of: GroupOf | None = None) -> dict[str, Estimate]:
        """Return every figure's estimate by name, over all processes.

        Args:
            group_of: Function from the index of an image to its group, such as a data set's
                ``group``: the intervals are over groups then. None if images are independent.

        Raises:
            TypeError: If it is not a function.
        """
        if group_of is not None:
            function("group_of", group_of)
        with self.sync_context():
            indices, rows = self._unique_rows()
            groups = None if group_of is None else groups_by_index(indices, group_of)
            return self._estimates(rows, groups)

    def per_image(self) -> tuple[Tensor, Tensor]:
        """Return the images' indices (n,) and their values (n, K), over all processes.

        The columns are the figures, in their order, if the figures are means over images.
        """
        with self.sync_context():
            indices, rows = self._unique_rows()
        return indices, self._values_of(rows)

    def _values_of(self, rows: Tensor) -> Tensor:
        """Return the values (n, K) of each image from the rows (n, width) kept of it."""
        return rows

    def _result(self, rows: Tensor) -> Estimate | dict[str, Estimate]:
        estimates = self._estimates(rows)
        return estimates if len(estimates) > 1 else next(iter(estimates.values()))

    def _estimates(
        self, rows: Tensor, groups: Sequence[Hashable] | None = None
    ) -> dict[str, Estimate]:
        """Return the estimates from the rows (n, width), and the group of each row."""
        return {
            name: estimate(values, groups=groups, share=name in self.shares)
            for name, values in zip(self.figures, self._values_of(rows).T, strict=True)
        }
