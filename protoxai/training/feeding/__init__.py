"""Feeding: loaders and samplers that give the same batches again after a resume."""
