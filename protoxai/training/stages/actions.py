"""What a recipe does between stages: initialise, project, group, threshold."""

from __future__ import annotations

from collections.abc import Callable

from protoxai.heads.groups import SparseGroupHead
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.projection.kmeans import initialise_prototypes
from protoxai.projection.project import project_prototypes
from protoxai.training.feeding.loaders import Splits, drawn_batches, training_view, whole_images
from protoxai.training.recipes.recipe import Action, Recipe, Stage
from protoxai.training.recipes.yaml_files import RecipeError

INITIAL_IMAGES = 32


def act(
    action: Action, model: Segmenter, stage: Stage, recipe: Recipe, splits: Splits, seed: int
) -> None:
    """Do one of a stage's actions, in place.

    Args:
        action: its name.
        model: changed.
        stage: whose action it is.
        recipe: of the run.
        splits: the data.
        seed: of what is random in it.

    Raises:
        RecipeError: if the model is not one, or not at a point, for which there is such an action.
    """
    ACTIONS[action](prototypical(model, action), stage, recipe, splits, seed)


def prototypical(model: Segmenter, action: str) -> ScaleProtoSeg:
    """Return the model, if it has prototypes."""
    if not isinstance(model, ScaleProtoSeg):
        raise RecipeError(
            f"{action} needs prototypes, but the model is a {type(model).__name__}: take {action} "
            "out of its stages"
        )
    return model


def _initialise(
    model: ScaleProtoSeg, stage: Stage, recipe: Recipe, splits: Splits, seed: int
) -> None:
    del stage
    batch_size = recipe.data.batch_size
    batches = -(-INITIAL_IMAGES // batch_size)
    view = training_view(splits.train, recipe.data, model)
    loader = drawn_batches(view, batches, batch_size, seed=seed, shared=True)
    initialise_prototypes(model, loader, images=INITIAL_IMAGES, seed=seed)


def _project(model: ScaleProtoSeg, stage: Stage, recipe: Recipe, splits: Splits, seed: int) -> None:
    del stage, seed
    loader = whole_images(splits.projection, recipe.data, model)
    project_prototypes(model, loader, ignore_index=splits.train.ignore_index)


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
    "group": _group,
    "threshold": _threshold,
}
