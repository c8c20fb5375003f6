"""Plumbing that every package may use."""
