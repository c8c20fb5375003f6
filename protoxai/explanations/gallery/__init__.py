"""The gallery of a model's prototypes."""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
