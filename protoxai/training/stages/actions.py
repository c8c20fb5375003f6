"""The actions between stages: initialise, project, prune, group, threshold."""

from __future__ import annotations

from collections.abc import Callable

from protoxai.heads.groups import SparseGroupHead
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.projection.kmeans import initialise_prototypes
from protoxai.projection.project import project_prototypes
from protoxai.projection.prune import prune_prototypes
from protoxai.runtime.finite import check_finite_weights
from protoxai.training.feeding.loaders import (
    Splits,
    projection_loader,
    training_loader,
    training_view,
)
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.stage_recipe import Action, Stage
from protoxai.training.recipes.yaml_files import RecipeError

INITIAL_IMAGES = 32
"""Number of images whose embeddings k-means clusters."""


def run_action(
    action: Action, model: Segmenter, stage: Stage, recipe: Recipe, splits: Splits, seed: int
) -> None:
    """Run one of a stage's actions on the model, in place.

    Args:
        action: Name of the action.
        model: Model to change.
        stage: Stage that the action belongs to.
        recipe: Recipe of the run.
        splits: Data of the run.
        seed: Seed of the action's random choices.

    Raises:
        RecipeError: If the model has no prototypes, or no groups where the action needs them.
        NotFiniteError: If an image, a weight or a result is NaN or infinite.
    """
    ACTIONS[action](with_prototypes(model, action), stage, recipe, splits, seed)
    check_finite_weights(model, f"the model after {action}")


def with_prototypes(model: Segmenter, action: str) -> ScaleProtoSeg:
    """Return the model, after checking that it has prototypes.

    Args:
        model: Any model of the library.
        action: Name of the action or key that needs prototypes, for the error.

    Raises:
        RecipeError: If it has none.
    """
    if not isinstance(model, ScaleProtoSeg):
        raise RecipeError(
            f"{action} needs prototypes, but the model is a {type(model).__name__}: remove "
            f"{action} from its stages"
        )
    return model


def _initialise(
    model: ScaleProtoSeg, stage: Stage, recipe: Recipe, splits: Splits, seed: int
) -> None:
    del stage
    batch_size = recipe.data.batch_size
    batches = -(-INITIAL_IMAGES // batch_size)
    view = training_view(splits.train, recipe.data, model)
    loader = training_loader(view, batches, batch_size, seed=seed, shared=True)
    initialise_prototypes(model, loader, images=INITIAL_IMAGES, seed=seed)


def _project(model: ScaleProtoSeg, stage: Stage, recipe: Recipe, splits: Splits, seed: int) -> None:
    del stage, seed
    data = splits.projection
    project_prototypes(
        model,
        projection_loader(data, recipe.data, model),
        ignore_index=splits.train.ignore_index,
        image_of=lambda index: data.raw(index).image,
        patches=recipe.data.keep_patches,
    )


def _prune(model: ScaleProtoSeg, stage: Stage, recipe: Recipe, splits: Splits, seed: int) -> None:
    del stage, seed
    loader = projection_loader(splits.projection, recipe.data, model)
    prune_prototypes(model, loader, ignore_index=splits.train.ignore_index)


def _group(model: ScaleProtoSeg, stage: Stage, recipe: Recipe, splits: Splits, seed: int) -> None:
    del recipe, splits, seed
    model.group(stage.num_groups)


def _threshold(
    model: ScaleProtoSeg, stage: Stage, recipe: Recipe, splits: Splits, seed: int
) -> None:
    del recipe, splits, seed
    if not isinstance(model.head, SparseGroupHead):
        raise RecipeError(f"stage {stage.name}: threshold needs groups: put group before it")
    model.head.threshold_(stage.threshold)


ACTIONS: dict[Action, Callable[[ScaleProtoSeg, Stage, Recipe, Splits, int], None]] = {
    "initialise": _initialise,
    "project": _project,
    "prune": _prune,
    "group": _group,
    "threshold": _threshold,
}
