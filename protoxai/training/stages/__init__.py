"""Stages: the steps of one phase of training."""
