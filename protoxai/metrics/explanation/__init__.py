"""Metrics of explanations, whatever the model."""
