"""Prototypes: the layer, the table of classes and scales, and the provenance of each prototype."""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
