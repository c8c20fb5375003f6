"""Recipes: what a training run does, as typed YAML."""
