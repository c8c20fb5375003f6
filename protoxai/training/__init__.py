"""Training: recipes, their stages, and the run from beginning to end."""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
