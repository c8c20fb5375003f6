"""Explanations: the prototypes behind a model's decisions, as data and figures."""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
