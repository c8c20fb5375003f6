"""Run folders of the previous version, whose keys had other names, are still read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from protoxai.training import Recipe, RecipeError, evaluate_model, run
from protoxai.training.stages.checkpoints import Checkpoints
from tests.training.cases import micro, write

OLD_NAMES = {
    "scale_range": "zoom",
    "scale_relative_to": "zoom_relative_to",
    "log_uniform_scale": "log_uniform_zoom",
    "accumulate_grad_batches": "accumulate",
}
NEW_MODEL_KEYS = {"epsilon", "off_class", "last_layer"}
NEW_DATA_KEYS = {"projection_size", "antialias", "keep_patches"}


def as_before(values: dict[str, Any]) -> dict[str, Any]:
    """Return a recorded recipe as the previous version wrote it."""

    def renamed(section: dict[str, Any]) -> dict[str, Any]:
        return {OLD_NAMES.get(key, key): value for key, value in section.items()}

    model = {key: value for key, value in values["model"].items() if key not in NEW_MODEL_KEYS}
    data = {key: value for key, value in values["data"].items() if key not in NEW_DATA_KEYS}
    old = {
        **values,
        "data": renamed(data),
        "model": model,
        "stages": [renamed(stage) for stage in values["stages"]],
    }
    del old["plugins"]
    return old


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    keys = micro()
    keys["data"].update(scale_range=[0.8, 1.2], scale_relative_to="crop", log_uniform_scale=True)
    keys["stages"][0]["accumulate_grad_batches"] = 2
    return Recipe.load(write({**keys, "checkpoint_every": 1}, tmp_path))


@pytest.fixture
def folder(recipe: Recipe, tmp_path: Path) -> Path:
    """A run folder as the previous version left it after the first stage."""
    folder = tmp_path / "old"
    run(recipe, folder, log=lambda _: None, progress=False)
    file = folder / "recipe.yaml"
    old = as_before(yaml.safe_load(file.read_text()))
    assert old["data"]["zoom"] == [0.8, 1.2]
    assert old["stages"][0]["accumulate"] == 2
    file.write_text(yaml.safe_dump(old))
    config_file = folder / "model" / "config.json"
    config = json.loads(config_file.read_text())
    del config["files"], config["digest"], config["last_layer"]
    config_file.write_text(json.dumps({**config, "format": 1}))
    checkpoints = Checkpoints(folder / "checkpoints")
    for path in checkpoints.paths():
        if path.name != "stage00-end.pt":
            path.unlink()
    state = torch.load(folder / "checkpoints" / "stage00-end.pt", weights_only=True)
    del state["class_names"], state["processes"], state["model"]["_extra_state"]
    checkpoints.save(0, None, {**state, "recipe": as_before(state["recipe"])})
    return folder


def test_an_old_run_folder_is_evaluated_and_resumed(recipe: Recipe, folder: Path) -> None:
    weights = load_file(folder / "model" / "model.safetensors")
    assert Recipe.load(folder / "recipe.yaml") == recipe
    assert 0 <= evaluate_model(folder).scores.mean_iou <= 1
    lines: list[str] = []
    run(recipe, folder, resume=True, log=lines.append, progress=False)
    assert lines[0] == "resumed micro at stage joint training, step 2 (trained)"
    for name, value in load_file(folder / "model" / "model.safetensors").items():
        assert torch.equal(value, weights[name]), name


def test_old_keys_in_a_recipe_of_the_user_are_errors(tmp_path: Path) -> None:
    for section, old, new in (
        ("data", "zoom", "data.scale_range"),
        ("data", "zoom_relative_to", "data.scale_relative_to"),
        ("data", "log_uniform_zoom", "data.log_uniform_scale"),
        ("stage", "accumulate", "stages[grouping].accumulate_grad_batches"),
    ):
        keys = micro()
        (keys["data"] if section == "data" else keys["stages"][1])[old] = 2
        place = new.rpartition(".")[0]
        path = write(keys, tmp_path)
        with pytest.raises(RecipeError) as caught:
            Recipe.load(path)
        assert str(caught.value) == f"{path}: {place}.{old} was renamed to {new}"
