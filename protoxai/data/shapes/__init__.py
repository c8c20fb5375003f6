"""Shapes: an endless synthetic data set whose ground truth a person can check."""

from protoxai.data.shapes.dataset import ObjectPart, Shapes

__all__ = ["ObjectPart", "Shapes"]
