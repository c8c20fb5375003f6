"""The explainers of one model."""

from __future__ import annotations

from dataclasses import dataclass

from protoxai.comparison.model_names import method_name


@dataclass(frozen=True)
class Block:
    """The explainers of one model.

    Attributes:
        model: Name of the model.
        explainers: Names of the explainers that compete, in order.
        references: Names of the reference maps.
    """

    model: str
    explainers: tuple[str, ...]
    references: tuple[str, ...]

    @property
    def chosen(self) -> str:
        """The explainer that the others are compared with: the first, a reference if need be."""
        return (self.explainers + self.references)[0]

    def short(self, explainer: str) -> str:
        """Return the name of an explainer without the model's."""
        return method_name(explainer, self.model)
