"""Projection: prototypes become patches of training images."""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
