import importlib.util
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protoxai.data import DATASETS
from protoxai.runtime.extras import MissingExtraError
from protoxai.training import Recipe, RecipeError, Stage
from tests.training.cases import micro, write

Change = Callable[[dict[str, Any]], object]
FOLDER = Path(__file__).parents[3] / "benchmarks" / "recipes"
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_load(name: str) -> None:
    recipe = Recipe.load(name, ["--data.root=/data"])
    assert recipe.name == name.replace("_", "-") or recipe.name == name
    assert recipe.data.dataset in DATASETS
    assert recipe.stages


@pytest.mark.parametrize("name", ["shapes", "camvid"])
def test_the_short_recipes_end_with_a_threshold_and_a_comparison(name: str) -> None:
    recipe = Recipe.load(name, ["--data.root=/data"])
    assert recipe.baseline
    assert [stage.after for stage in recipe.stages] == [("project",), ("threshold",)]


def test_a_file_becomes_a_recipe(tmp_path: Path) -> None:
    recipe = Recipe.load(write(micro(), tmp_path))
    assert (recipe.name, recipe.seed, recipe.baseline) == ("micro", 7, False)
    assert recipe.data.crop == (64, 64)
    assert recipe.data.options == {"size": 64, "length": 8}
    assert recipe.model.atrous_rates == (1, 2)
    first, second = recipe.stages
    assert isinstance(first, Stage)
    assert first.before == ("initialise",)
    assert first.learning_rates == {"backbone": 1e-3, "scales": 3e-3, "prototypes": 1e-2}
    assert second.loss_weights == {
        "cross_entropy": 1.0,
        "prototype_diversity": 0.0,
        "group_entropy": 0.05,
        "off_class_l1": 1e-3,
    }
    # What is left out has its default.
    assert (recipe.data.flip, recipe.model.input_scales, first.power) == (0.5, (), 0.9)


def test_arguments_go_before_the_file(tmp_path: Path) -> None:
    path = write(micro(), tmp_path)
    arguments = ["--data.root=/somewhere", "--seed", "3", "--data.crop=[32, 48]", "--baseline=true"]
    recipe = Recipe.load(path, [*arguments, "--model.pretrained=weights.pt"])
    assert (recipe.data.root, recipe.seed, recipe.data.crop) == ("/somewhere", 3, (32, 48))
    assert (recipe.baseline, recipe.model.pretrained) == (True, "weights.pt")
    assert recipe.stages == Recipe.load(path).stages


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    # YAML takes 1e-3, without a point, for text.
    path = tmp_path / "recipe.yaml"
    text = write(micro(), tmp_path).read_text()
    path.write_text(text.replace("backbone: 0.001", "backbone: 1e-3"))
    assert "backbone: 1e-3" in path.read_text()
    assert Recipe.load(path).stages[0].learning_rates["backbone"] == 1e-3


def test_the_data_s_folder_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = micro()
    keys["data"]["root"] = "$PROTOXAI_SCANS/2024"
    path = write(keys, tmp_path)
    monkeypatch.delenv("PROTOXAI_SCANS", raising=False)
    with pytest.raises(
        RecipeError, match=r"data\.root is \$PROTOXAI_SCANS/2024, but .*--data\.root"
    ):
        Recipe.load(path)
    assert Recipe.load(path, ["--data.root=/there"]).data.root == "/there"
    monkeypatch.setenv("PROTOXAI_SCANS", "/scans")
    assert Recipe.load(path).data.root == "/scans/2024"
    monkeypatch.setenv("HOME", "/home/someone")
    assert Recipe.load(path, ["--data.root=~/scans"]).data.root == "/home/someone/scans"


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "jsonargparse"
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else find_spec(name)
    )
    command = re.escape('run pip install "protoxai[train]"')
    with pytest.raises(MissingExtraError, match=rf"^{module} not installed: {command}$"):
        Recipe.load("shapes")


def test_a_smoke_test_is_short_and_small_and_else_the_same(tmp_path: Path) -> None:
    recipe = Recipe.load(write(micro(), tmp_path), {"data.projection_size": "native"})
    smoke = recipe.smoke()
    assert all(stage.steps <= 2 for stage in smoke.stages)
    restored = [
        replace(short, steps=stage.steps)
        for short, stage in zip(smoke.stages, recipe.stages, strict=True)
    ]
    sizes = {name: getattr(recipe.data, name) for name in ("crop", "evaluation_size")}
    assert smoke.data.projection_size == "size"
    data = replace(smoke.data, projection_size=recipe.data.projection_size, **sizes)
    assert replace(smoke, stages=restored, data=data) == recipe


def test_a_folder_with_a_dollar_in_its_name_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "scans$2024"
    folder.mkdir()
    recipe = Recipe.load(write(micro(), tmp_path), {"data.root": str(folder)})
    assert recipe.data.root == str(folder)
