"""Prototypes: their layer, the table of their classes and scales, and where they are from."""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
