"""Compare explainers by the same metrics on the same tasks."""

# Importing `compare` here makes the name the function, whoever imports its module later.
from protoxai.comparison.compare import compare
from protoxai.comparison.explainers import explainers_of
from protoxai.comparison.report.maps import maps_figure
from protoxai.comparison.result import Result
from protoxai.comparison.seeds import mean_over_seeds
from protoxai.comparison.table import Comparison
from protoxai.comparison.tasks import Task, TaskName, select_tasks

__all__ = [
    "Comparison",
    "Result",
    "Task",
    "TaskName",
    "compare",
    "explainers_of",
    "maps_figure",
    "mean_over_seeds",
    "select_tasks",
]
