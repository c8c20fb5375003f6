"""Metrics of segmentations."""
