"""Loaders and samplers that repeat the same batches after a resume."""
