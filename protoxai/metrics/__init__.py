"""Metrics: how well a model segments, and how readable its decisions are.

A metric is a function and a ``torchmetrics.Metric``. Those over images keep a value for each image
and give its mean with a 95 % bootstrap interval; those of a model give its numbers. Each says which
direction is better. They load when first used.
"""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
