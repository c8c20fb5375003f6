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
from tests.training.cases import micro, stage, write

Change = Callable[[dict[str, Any]], object]
FOLDER = Path(__file__).parents[3] / "benchmarks" / "recipes"
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.fixture
def error_of(tmp_path: Path) -> Callable[..., str]:
    """`error_of(change, *arguments)` is the message for the micro recipe with that change."""

    def message(change: Change, *arguments: str) -> str:
        keys = micro()
        change(keys)
        path = write(keys, tmp_path)
        with pytest.raises(RecipeError) as caught:
            Recipe.load(path, arguments)
        text = str(caught.value)
        assert text.startswith(f"{path}: ")
        assert "\n" not in text
        return text.removeprefix(f"{path}: ")

    return message


def rename(keys: dict[str, Any], old: str, new: str) -> None:
    keys[new] = keys.pop(old)


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


def test_a_file_becomes_what_it_says(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("change", "key", "meant"),
    [
        (lambda r: rename(r, "seed", "sede"), "sede", "seed"),
        (lambda r: r.update(basline=True), "basline", "baseline"),
        (lambda r: rename(r["data"], "crop", "corp"), "data.corp", "crop"),
        (lambda r: r["data"].update(class_balanse=1.0), "data.class_balanse", "class_balance"),
        (lambda r: r["model"].update(atrous_rate=[1]), "model.atrous_rate", "atrous_rates"),
        (
            lambda r: rename(r["stages"][1], "steps", "setps"),
            "stages[grouping].setps",
            "steps",
        ),
        (
            lambda r: rename(r["stages"][0], "learning_rates", "learning_rate"),
            "stages[joint training].learning_rate",
            "learning_rates",
        ),
        (
            lambda r: rename(r["stages"][1], "losses", "loses"),
            "stages[grouping].loses",
            "losses",
        ),
    ],
)
def test_a_misspelt_key(error_of, change: Change, key: str, meant: str) -> None:
    message = error_of(change)
    assert message.startswith(f"there is no key {key} (did you mean '{meant}'")
    assert meant in message.partition("expected some of ")[2].split(", ")


def test_a_key_like_no_other_gets_no_suggestion(error_of) -> None:
    message = error_of(lambda r: r["data"].update(xyz=1))
    assert message.startswith("there is no key data.xyz; expected some of dataset, root, ")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda r: r["data"].update(batch_size="many"),
            "data.batch_size is 'many', expected a whole number",
        ),
        (
            lambda r: r["data"].update(batch_size=[1, 2]),
            "data.batch_size is [1, 2], expected a whole number",
        ),
        (lambda r: r.update(seed=1.5), "seed is 1.5, expected a whole number"),
        (lambda r: r.update(seed=True), "seed is True, expected a whole number"),
        (lambda r: r.update(name=3), "name is 3, expected text"),
        (lambda r: r.update(baseline="maybe"), "baseline is 'maybe', expected true or false"),
        (lambda r: r["data"].update(flip="often"), "data.flip is 'often', expected a number"),
        (lambda r: r["data"].update(flip=True), "data.flip is True, expected a number"),
        (
            lambda r: r["data"].update(crop=64),
            "data.crop is 64, expected a list of 2, each a whole number",
        ),
        (
            lambda r: r["data"].update(crop=[1, 2, 3]),
            "data.crop is [1, 2, 3], expected a list of 2, each a whole number",
        ),
        (lambda r: r["data"].update(crop=[1, "b"]), "data.crop[1] is 'b', expected a whole number"),
        (
            lambda r: r["model"].update(init_gain="small"),
            "model.init_gain is 'small', expected a number or null",
        ),
        (
            lambda r: r["model"].update(pretrained=3),
            "model.pretrained is 3, expected true or false or text",
        ),
        (
            lambda r: r["model"].update(atrous_rates=6),
            "model.atrous_rates is 6, expected a list, each a whole number",
        ),
        (
            lambda r: r["model"].update(architecture="DeepLab"),
            "model.architecture is 'DeepLab', expected one of ScaleProtoSeg, LinearSegmenter",
        ),
        (
            lambda r: r["stages"][1].update(steps="many"),
            "stages[grouping].steps is 'many', expected a whole number",
        ),
        (
            lambda r: r["stages"][1].update(steps=[5]),
            "stages[grouping].steps is [5], expected a whole number",
        ),
        (
            lambda r: r["stages"][1]["learning_rates"].update(groups="fast"),
            "stages[grouping].learning_rates.groups is 'fast', expected a number",
        ),
        (
            lambda r: r["stages"][0].update(losses=None),
            "stages[joint training].losses is null, expected names, each with a number",
        ),
        (
            lambda r: r["stages"][0].update(before="initialise"),
            "stages[joint training].before is 'initialise', expected a list, each one of",
        ),
        (
            lambda r: r["stages"][0].update(after=["prune"]),
            "stages[joint training].after[0] is 'prune', expected one of initialise,",
        ),
        (lambda r: r["stages"].append(3), "stages[2] is 3, expected the keys name, steps, "),
        (lambda r: r.update(stages=r["stages"][0]), "stages is {"),
        (lambda r: r.update(data=3), "data is 3, expected the keys dataset, root, "),
    ],
)
def test_a_value_of_the_wrong_type(error_of, change: Change, expected: str) -> None:
    assert error_of(change).startswith(expected)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda r: r["stages"][1].pop("steps"), "stages[grouping].steps"),
        (lambda r: r["stages"][1].pop("name"), "stages[1].name"),
        (lambda r: r["data"].pop("crop"), "data.crop"),
        (lambda r: r.pop("model"), "model"),
    ],
)
def test_a_missing_key(error_of, change: Change, missing: str) -> None:
    assert error_of(change) == f"{missing} is missing: give it a value, it has no default"


def test_files_that_hold_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: [1\n")
    with pytest.raises(RecipeError, match=r"broken\.yaml: the file is no YAML: .*line 2") as caught:
        Recipe.load(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(RecipeError, match=r"the file is \[1, 2\], expected .*keys"):
        Recipe.load(write([1, 2], tmp_path))


def test_unknown_parts_and_terms(error_of) -> None:
    rates = error_of(lambda r: r["stages"][1]["learning_rates"].update(group=1.0))
    assert rates == (
        "stage grouping: learning_rates has no 'group' (did you mean 'groups'?); expected some of "
        "backbone, groups, last_layer, prototypes, scales"
    )
    decay = error_of(lambda r: r["stages"][0].update(weight_decay={"aspp": 1.0}))
    assert decay.startswith("stage joint training: weight_decay has no 'aspp'; expected some of")
    term = error_of(lambda r: r["stages"][1]["losses"].update(group_entrpy=1.0))
    assert term.startswith(
        "stage grouping: losses has no 'group_entrpy' (did you mean 'group_entropy'"
    )
    for argument in ("class_weight", "ignore_index"):
        assert "losses has no" in error_of(
            lambda r, a=argument: r["stages"][0]["losses"].update({a: 1})
        )


def test_cached_views_of_a_trunk_that_learns(error_of) -> None:
    message = error_of(lambda r: r["stages"][0].update(cached_views=2))
    assert message.startswith("stage joint training: cached_views needs a frozen trunk")
    for part in ("backbone", "scales"):
        with pytest.raises(RecipeError, match="set cached_views to 0"):
            stage(learning_rates={part: 1.0}, cached_views=1)
    assert stage(learning_rates={"prototypes": 1.0}, cached_views=1).cached_views == 1


def test_a_stage_that_trains_nothing(error_of) -> None:
    message = error_of(lambda r: r["stages"][0].update(learning_rates={}))
    assert message == "stage joint training: no learning_rates, so nothing would train"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--data.rot=x", "there is no argument --data.rot=x (did you mean '--data.root'"),
        ("--model.backbon=x", "there is no argument --model.backbon=x (did you mean '--model.ba"),
        ("--sede=3", "there is no argument --sede=3 (did you mean '--seed'?); "),
        ("extra", "there is no argument extra; expected keys of the recipe, such as --data.root"),
        ("--seed=many", "--seed is 'many', expected a whole number"),
        ("--data.crop=5", "--data.crop is '5', expected a list of 2, each a whole number"),
    ],
)
def test_wrong_arguments(error_of, argument: str, expected: str) -> None:
    assert error_of(lambda r: None, argument).startswith(expected)


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


def test_an_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.load("shaps")
    assert str(caught.value) == (
        "there is no recipe shaps (did you mean 'shapes'?): give a YAML file or one of "
        + ", ".join(SHIPPED)
    )
    with pytest.raises(RecipeError, match=r"no recipe some/where\.yaml: give"):
        Recipe.load("some/where.yaml")


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "jsonargparse"
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else found(name)
    )
    command = re.escape('run pip install "protoxai[train]"')
    with pytest.raises(MissingExtraError, match=rf"^{module} not installed: {command}$"):
        Recipe.load("shapes")


def test_a_smoke_test_is_short_and_small_and_else_the_same(tmp_path: Path) -> None:
    recipe = Recipe.load(write(micro(), tmp_path))
    smoke = recipe.smoke()
    assert all(stage.steps <= 2 for stage in smoke.stages)
    restored = [
        replace(short, steps=stage.steps)
        for short, stage in zip(smoke.stages, recipe.stages, strict=True)
    ]
    data = replace(smoke.data, crop=recipe.data.crop, evaluation_size=recipe.data.evaluation_size)
    assert replace(smoke, stages=restored, data=data) == recipe


def test_validations_that_never_come(error_of) -> None:
    message = error_of(lambda r: r["stages"][0].update(patience=3))
    assert message == (
        "stage joint training: patience and keep_best need validations: set validate: epoch"
    )
