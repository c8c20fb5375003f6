"""Recipes: the description of a training run, as typed YAML."""
