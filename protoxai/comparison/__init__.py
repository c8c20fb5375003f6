"""Explainers against metrics, on the same images, in one table."""

from protoxai.comparison.cells import METRICS
from protoxai.comparison.explainers import explainers_of
from protoxai.comparison.questions import Question, ask
from protoxai.comparison.run import compare
from protoxai.comparison.table import Cell, Comparison

__all__ = ["METRICS", "Cell", "Comparison", "Question", "ask", "compare", "explainers_of"]
