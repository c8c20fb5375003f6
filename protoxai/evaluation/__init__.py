"""Evaluation: how well a model segments a data set."""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
