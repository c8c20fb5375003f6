"""A step that ruins the model ends the run with its place, and no checkpoint holds the result."""

from typing import Any

import pytest
import torch
from torch import Tensor

from protoxai import ScaleProtoSeg
from protoxai.training import Recipe, run
from protoxai.training.build_model import build_model
from protoxai.training.feeding.loaders import Splits
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.stages import actions
from protoxai.training.stages.checkpoints import Checkpoints
from tests.training.cases import micro, write


def recipe_of(folder: Any, **keys: Any) -> Recipe:
    plain = {**micro(), "loggers": [], **keys}
    plain["stages"] = plain["stages"][:1]
    return Recipe.load(write(plain, folder))


def start(recipe: Recipe, folder: Any, model: ScaleProtoSeg | None = None) -> None:
    quiet: dict[str, Any] = {"log": lambda _: None, "progress": False, "check": False}
    run(recipe, folder / "run", model=model, **quiet)


def model_with_gradient(recipe: Recipe, step: int, factor: float) -> ScaleProtoSeg:
    """The recipe's model, whose prototypes have their gradient multiplied at a step."""
    torch.manual_seed(0)
    model = build_model(recipe.model, Splits.of(recipe.data).train)
    steps = iter(range(1, 100))

    def spoil(gradient: Tensor) -> Tensor:
        return gradient * factor if next(steps) == step else gradient

    model.prototype_layer.prototypes.register_hook(spoil)
    return model


@pytest.mark.parametrize("factor", [torch.nan, torch.inf])
@pytest.mark.parametrize("step", [1, 2])
def test_the_step_and_the_weights_are_named(tmp_path: Any, step: int, factor: float) -> None:
    recipe = recipe_of(tmp_path, checkpoint_every=1)
    place = rf"stage joint training, step {step}: .*prototype_layer\.prototypes \(\d+ of"
    with pytest.raises(RunError, match=place):
        start(recipe, tmp_path, model_with_gradient(recipe, step, factor))
    newest = Checkpoints(tmp_path / "run" / "checkpoints").newest()
    assert newest is None or all(value.isfinite().all() for value in newest["model"].values())
    assert not (tmp_path / "run" / "model").exists()


def test_the_last_step_is_checked_without_a_checkpoint_of_it(tmp_path: Any) -> None:
    recipe = recipe_of(tmp_path, checkpoint_every=100)
    with pytest.raises(RunError, match=r"stage joint training, after step 2.*prototypes \(\d+ of"):
        start(recipe, tmp_path, model_with_gradient(recipe, 2, torch.nan))
    assert not (tmp_path / "run" / "model").exists()


def test_an_action_that_ruins_the_model_is_named(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ruin(model: ScaleProtoSeg, *_: Any) -> None:
        model.head.weight.data[0, 0] = torch.inf

    monkeypatch.setitem(actions.ACTIONS, "project", ruin)
    message = r"stage joint training.*projection.*the model after project .*head\.weight \(1 of"
    with pytest.raises(RunError, match=message):
        start(recipe_of(tmp_path), tmp_path)
