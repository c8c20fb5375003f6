"""Shapes: synthetic scenes with known parts."""
