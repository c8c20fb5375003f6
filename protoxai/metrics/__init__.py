"""Metrics of segmentation, of explanations and of prototypes.

A metric is a function and a ``torchmetrics.Metric``, in a file of its name. Metrics over images
keep a value for each image and return the mean with a 95 % interval; metrics of a model return its
numbers. Each names its figures and whether higher is better. They load when first used.
"""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
