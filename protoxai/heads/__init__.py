"""Heads: from prototype activations to class logits, directly or through sparse groups."""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
