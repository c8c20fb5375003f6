"""Recipes that extend others, and single keys over both."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from protoxai.training import Recipe, RecipeError
from tests.training.cases import micro, stage, write


def child(folder: Path, changes: dict[str, Any], parent: object = "recipe.yaml") -> Path:
    path = folder / "child.yaml"
    path.write_text(yaml.safe_dump({"extends": parent, **changes}))
    return path


def test_a_shipped_recipe_is_found_by_its_name(tmp_path: Path) -> None:
    path = child(tmp_path, {"name": "mine", "data": {"root": "/data"}}, parent="camvid")
    assert Recipe.load(path).stages == Recipe.load("camvid", ["--data.root=/data"]).stages
    # A file of that name comes first.
    (tmp_path / "camvid").write_text((write(micro(), tmp_path)).read_text())
    assert Recipe.load(path).model.backbone == "timm/test_resnet"
    for parent, message in (
        ("camvit", r"extends camvit, but there is no file .*\(did you mean 'camvid'\?\)"),
        (["camvid"], r"extends is \['camvid'\], expected a file or a recipe's name"),
        ("", "but there is no file"),
        ("x" * 3000, r"extends 'xxx.*\.\.\.'?, but there is no file"),
    ):
        with pytest.raises(RecipeError, match=message):
            Recipe.load(child(tmp_path, {}, parent=parent))


def test_circles_are_found_however_they_are_spelled(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    path = child(tmp_path, {}, parent="below/other.yaml")
    (tmp_path / "below" / "other.yaml").write_text("extends: ../below/../child.yaml\n")
    with pytest.raises(RecipeError, match=r"child\.yaml extends itself: remove one `extends`"):
        Recipe.load(path)
    (tmp_path / "link.yaml").symlink_to("child.yaml")
    with pytest.raises(RecipeError, match="extends itself"):
        Recipe.load(child(tmp_path, {}, parent="link.yaml"))
    for number in range(30):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n")
    with pytest.raises(RecipeError, match=r"0\.yaml extends too many files, more than 20"):
        Recipe.load(tmp_path / "0.yaml")


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ({}, {"size": 64, "length": 8}),
        ({"options": {"length": 9}}, {"size": 64, "length": 9}),
        ({"options": {}}, {}),
        ({"dataset": "Shapes"}, {"size": 64, "length": 8}),
        ({"dataset": "camvid"}, {}),
        ({"dataset": "camvid", "options": {"ignore_index": 9}}, {"ignore_index": 9}),
    ],
)
def test_inherited_options(tmp_path: Path, data: dict[str, Any], options: dict[str, Any]) -> None:
    write(micro(), tmp_path)
    assert Recipe.load(child(tmp_path, {"data": data})).data.options == options
    if "options" not in data:
        keys = {f"data.{key}": value for key, value in data.items()}
        assert Recipe.load(tmp_path / "recipe.yaml", keys).data.options == options


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"stages": {"grouping": 3}},
            r"child\.yaml: stages\.grouping is 3, expected keys and",
        ),
        ({"stages": {3: {}}}, r"stages changes '3', but the recipe has the stages joint training"),
        ({"data": None}, "data is null, expected the keys"),
        ({"stages": None}, "stages is null, expected a list"),
        ({"stages": []}, "stages is empty, so nothing would train"),
    ],
)
def test_changes_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write(micro(), tmp_path)
    with pytest.raises(RecipeError, match=message):
        Recipe.load(child(tmp_path, changes))


def test_stages_can_be_changed_by_name(tmp_path: Path) -> None:
    path = write(micro(), tmp_path)
    arguments = [
        "--stages.grouping.steps=9",
        "--stages.joint-training.losses.cross_entropy",
        "1e-3",
    ]
    values = {"stages.grouping.steps": 9, "stages.joint training.losses.cross_entropy": 1e-3}
    recipe = Recipe.load(path, arguments)
    assert recipe == Recipe.load(path, values)
    assert recipe == Recipe.load(path, [part for one in arguments for part in one.split("=")])
    assert recipe.stages[1].steps == 9
    assert recipe.stages[0].losses == {"cross_entropy": 1e-3, "prototype_diversity": 0.25}
    assert [s.name for s in Recipe.load(path, ["--stages.grouping=null"]).stages] == [
        "joint training"
    ]
    for argument, message in (
        ("--stages.groupng.steps=9", r"stages changes 'groupng' \(did you mean 'grouping'"),
        ("--stages.grouping.stepz=9", r"no key stages\[grouping\]\.stepz \(did you mean 'steps'"),
        ("--stages.grouping.steps=0", r"stages\[grouping\]\.steps is 0, expected a whole number"),
        ("--stages.grouping.steps.x=0", r"no key stages\.grouping\.steps\.x: steps is 3"),
        ("--stages.grouping.before=[", r"--stages\.grouping\.before is '\[', which is no YAML"),
        ("--stages.grouping.steps", r"stages\[grouping\]\.steps is null"),
    ):
        with pytest.raises(RecipeError, match=message):
            Recipe.load(path, [argument])


def test_a_shared_value_changes_in_one_stage_only(tmp_path: Path) -> None:
    keys = micro()
    keys["stages"][1]["losses"] = keys["stages"][0]["losses"]
    path = write(keys, tmp_path)
    assert "*" in path.read_text()
    recipe = Recipe.load(path, {"stages.grouping.losses.cross_entropy": 5})
    assert [s.losses["cross_entropy"] for s in recipe.stages] == [1.0, 5.0]


def test_no_key_is_lost(tmp_path: Path) -> None:
    path = write(micro(), tmp_path)
    for values, message in (
        ({"seed.x": 3}, r"there is no key seed\.x: seed is 7"),
        ({"sections.x": 3}, "there is no key sections"),
        ({"data.corp": 3}, r"there is no key data\.corp"),
        ({3: 4}, "there is no key 3, expected text"),
    ):
        with pytest.raises(RecipeError, match=message):
            Recipe.load(path, values)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=r"are the text '--seed=3', expected a list: \['--seed"):
        Recipe.load(path, "--seed=3")


@pytest.mark.parametrize("names", [("a b", "a-b"), ("A", "a"), ("x", "x"), ("x" * 70, "x" * 80)])
def test_stages_have_different_names_in_files(tmp_path: Path, names: tuple[str, str]) -> None:
    recipe = Recipe.load(write(micro(), tmp_path))
    with pytest.raises(RecipeError, match="have the same name in files: rename one"):
        type(recipe)(
            name="x",
            data=recipe.data,
            model=recipe.model,
            stages=[stage(name=name) for name in names],
        )


def test_a_model_is_grouped_once(tmp_path: Path) -> None:
    keys = micro()
    keys["stages"][1]["before"] = ["group", "group"]
    with pytest.raises(RecipeError, match="stage grouping: the model is grouped already"):
        Recipe.load(write(keys, tmp_path))
