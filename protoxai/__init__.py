"""protoxai: segmentation models whose every pixel decision can be read.

A small, sparse group of prototypes decides each pixel; every prototype is a real patch of a
training image, at one scale. Heavy libraries load when first used.
"""

from protoxai._lazy import attach

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach(__name__)
