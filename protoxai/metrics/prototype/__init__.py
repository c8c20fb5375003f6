"""Metrics of prototypes and their groups."""
