from pathlib import Path
from typing import Any

import pytest

from protoxai.training import Recipe, RecipeError
from tests.training.cases import micro, write


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


def test_keys_as_values_are_those_of_the_arguments(tmp_path: Path) -> None:
    path = write(micro(), tmp_path)
    values = {"data.crop": (32, 48), "seed": 3, "model.init_gain": None, "loggers": []}
    arguments = ["--data.crop=[32, 48]", "--seed=3", "--model.init_gain=null", "--loggers=[]"]
    recipe = Recipe.load(path, values)
    assert recipe == Recipe.load(path, arguments)
    assert (recipe.data.crop, recipe.seed, recipe.model.init_gain) == ((32, 48), 3, None)
    with pytest.raises(RecipeError, match=r"there is no key data\.corp"):
        Recipe.load(path, {"data.corp": (32, 48)})


def test_stages_on_the_command_line_are_checked_as_in_a_file(tmp_path: Path) -> None:
    path = write(micro(), tmp_path)
    only = "{name: only, steps: 4, learning_rates: {scales: 1e-3}}"
    recipe = Recipe.load(path, [f"--stages=[{only}]"])
    assert [(stage.name, stage.steps) for stage in recipe.stages] == [("only", 4)]
    with pytest.raises(RecipeError, match=r"there is no key stages\[only\]\.stepz"):
        Recipe.load(path, [f"--stages=[{only.replace('steps', 'stepz')}]"])


def test_one_option_of_the_data_leaves_the_others(tmp_path: Path) -> None:
    path = write(micro(), tmp_path)
    before = Recipe.load(path).data.options
    assert len(before) > 1
    for given in (["--data.options.size=32"], ["--data.options.size", "32"]):
        assert Recipe.load(path, given).data.options == {**before, "size": 32}
    both = ["--data.options.size=32", "--data.options={length: 3}"]
    assert Recipe.load(path, both).data.options == {"length": 3, "size": 32}


@pytest.mark.parametrize("overrides", [None, 3, [3]])
def test_overrides_that_are_no_arguments(tmp_path: Path, overrides: Any) -> None:
    with pytest.raises(RecipeError, match=r"the keys are .*, expected a list such as"):
        Recipe.load(write(micro(), tmp_path), overrides)


def test_a_recipe_is_a_path_or_a_name() -> None:
    wrong: Any = None
    with pytest.raises(TypeError, match=r"the recipe is None .*a YAML file, or a recipe's name"):
        Recipe.load(wrong)
