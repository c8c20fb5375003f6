"""Training: recipes, their stages, and the run from beginning to end."""

from typing import TYPE_CHECKING, Any

from protoxai.training.reading import RecipeError
from protoxai.training.recipe import DataRecipe, ModelRecipe, Recipe, Stage

if TYPE_CHECKING:
    from protoxai.training.errors import RunError
    from protoxai.training.evaluation import Scores, evaluate
    from protoxai.training.loaders import Splits
    from protoxai.training.runner import RunResult, run
    from protoxai.training.standalone import evaluate_model

__all__ = [
    "DataRecipe",
    "ModelRecipe",
    "Recipe",
    "RecipeError",
    "RunError",
    "RunResult",
    "Scores",
    "Splits",
    "Stage",
    "evaluate",
    "evaluate_model",
    "run",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    from protoxai.extras import require

    home = {
        "RunResult": "runner",
        "run": "runner",
        "Scores": "evaluation",
        "evaluate": "evaluation",
        "RunError": "errors",
        "Splits": "loaders",
        "evaluate_model": "standalone",
    }
    if name not in home:
        raise AttributeError(f"module 'protoxai.training' has no attribute {name!r}")
    require("train", "lightning", "rich")
    return getattr(import_module(f"protoxai.training.{home[name]}"), name)
