"""Explainers against metrics, on the same images, in one table."""

from protoxai.comparison.adapters import METRICS
from protoxai.comparison.compare import compare
from protoxai.comparison.explainers import explainers_of
from protoxai.comparison.table import Cell, Comparison
from protoxai.comparison.tasks import Question, ask

__all__ = ["METRICS", "Cell", "Comparison", "Question", "ask", "compare", "explainers_of"]
