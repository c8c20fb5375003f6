"""Kernels: the formulas of the method as functions of tensors."""
