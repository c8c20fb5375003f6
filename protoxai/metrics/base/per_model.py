"""Metrics of a model's own numbers, without images and therefore without intervals."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torchmetrics import Metric

from protoxai.metrics.base.arguments import constructor_arguments
from protoxai.runtime.representation import call_repr


class ModelMetric(Metric):
    """Base of the metrics of a model alone, which all processes share.

    The last ``update`` counts. ``compute()`` returns a named tuple.

    Args:
        **options: Options of ``torchmetrics.Metric``.

    Attributes:
        figures: Fields that summarise the model, and whether higher is better.
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
        """Return the last measurement.

        Raises:
            ValueError: If there is none.
        """
        if self._measured is None:
            raise ValueError(f"{type(self).__name__} has measured nothing: call update first")
        return self._measured

    def values(self) -> dict[str, float]:
        """Return each figure by name: its mean over the groups, for example, that define it."""
        measured = self.compute()
        return {name: float(getattr(measured, name).double().nanmean()) for name in self.figures}

    def reset(self) -> None:
        """Forget the measurement."""
        super().reset()
        self._measured = None

    def __repr__(self) -> str:
        return call_repr(self, **constructor_arguments(self))
