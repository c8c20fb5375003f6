"""Evaluation: scores of a model on a data set, and logits of large images."""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
