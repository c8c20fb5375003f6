"""Models: scale prototypes, and the black box on the same trunk for comparison."""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
