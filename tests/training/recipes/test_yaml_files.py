from pathlib import Path

import pytest

from protoxai.training import Recipe, RecipeError
from protoxai.training.recipes.yaml_files import shipped_recipes
from tests.training.cases import write


def test_files_that_hold_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: [1\n")
    with pytest.raises(RecipeError, match=r"broken\.yaml: the file is no YAML: .*line 2") as caught:
        Recipe.load(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(RecipeError, match=r"the file is \[1, 2\], expected .*keys"):
        Recipe.load(write([1, 2], tmp_path))


def test_an_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.load("shaps")
    assert str(caught.value) == (
        "there is no recipe shaps (did you mean 'shapes'?): give a YAML file or one of "
        + ", ".join(sorted(shipped_recipes()))
    )
    with pytest.raises(RecipeError, match=r"no recipe some/where\.yaml: give"):
        Recipe.load("some/where.yaml")
