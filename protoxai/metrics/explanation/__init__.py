"""Metrics of explanations of any model."""
