"""Metrics of a model's own numbers: no images, so no interval."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torchmetrics import Metric


class ModelMetric(Metric):
    """Base of the metrics that look at a model alone; every process has the same model.

    The last ``update`` counts. ``compute()`` returns what was measured, a named tuple.

    Args:
        options: of ``torchmetrics.Metric``.

    Attributes:
        figures: the fields that stand for the model, and whether higher is better.
    """

    figures: ClassVar[Mapping[str, bool | None]]
    full_state_update = True
    is_differentiable = False

    def __init__(self, **options: Any) -> None:
        super().__init__(sync_on_compute=False, **options)
        self._measured: Any = None

    @abstractmethod
    def update(self, *args: Any, **options: Any) -> None:
        """Measure a model."""

    def compute(self) -> Any:
        """Return what was measured last.

        Raises:
            ValueError: if nothing was.
        """
        if self._measured is None:
            raise ValueError(f"{type(self).__name__} has measured nothing: call update first")
        return self._measured

    def values(self) -> dict[str, float]:
        """Return each figure by name: its mean over what defines it (groups, say)."""
        measured = self.compute()
        return {name: float(getattr(measured, name).double().nanmean()) for name in self.figures}

    def reset(self) -> None:
        """Forget what was measured."""
        super().reset()
        self._measured = None
