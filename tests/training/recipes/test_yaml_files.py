from pathlib import Path

import pytest

from protoxai.training import Recipe, RecipeError
from protoxai.training.recipes.yaml_files import shipped_recipes
from tests.training.cases import micro, write


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


def lines(*text: str) -> bytes:
    return "\n".join(text).encode()


BOMB = lines(
    "a0: &a0 [x, x, x, x, x, x, x, x, x]",
    *(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(9)),
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"name: \xe9", r"recipe\.yaml is not UTF-8 \(byte 0xe9 at position 6\): save it as UTF-8"),
        ("name: é".encode("utf-16"), r"recipe\.yaml is not UTF-8 \(byte 0xff at position 0\)"),
        (b"[" * 5000, "nested too deeply, more than 32 levels"),
        (b"a: " * 50, "recipe.yaml: the file is no YAML"),
        (b"a: &a [*a]", r"\*a is a part of itself: write it out in .*line 1"),
        (b"a: &a {b: {c: *a}}", r"\*a is a part of itself"),
        (BOMB, "too many values, more than 10000"),
        (BOMB.replace(b"[", b"{k: [").replace(b"]", b"]}"), "too many values"),
        (b"- 1\n" * 20_000, "too many values"),
        (b"#" * 1_000_001, "has 1000001 bytes, more than 1000000"),
        (lines("seed: 1", "name: x", "seed: 2"), "the key 'seed' is given twice.* line 3"),
        (lines("data: {crop: 1, 'crop': 2}"), "the key 'crop' is given twice"),
        (b"name: !!python/object/apply:os.system [ls]", "there is a tag .*: recipes have none"),
        (b"seed: !!int x", "there is a tag"),
        (b"seed: 0x1F", "0x1F is no decimal number: rewrite it, or quote it"),
        (b"seed: 1:30", "1:30 is no decimal number"),
        (b"seed: " + b"9" * 5000, "is no decimal number"),
        (b"name: \0", "the file is no YAML: .*special characters"),
        (b"", "the file is None, expected keys and values"),
        (b"a: *b", "undefined alias"),
    ],
)
def test_files_that_are_no_recipes_at_all(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=problem) as caught:
        Recipe.load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 600


def test_text_is_read_as_it_looks(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    write(micro(), tmp_path)
    text = (
        path.read_text().replace("name: micro", "name: 2024-01-01").replace("steps: 3", "steps: 03")
    )
    path.write_text(text, encoding="utf-8-sig")
    recipe = Recipe.load(path)
    assert (recipe.name, recipe.stages[1].steps) == ("2024-01-01", 3)


def test_names_that_no_file_can_have() -> None:
    for name in ("x" * 5000, "a\0b", "~nobody/x.yaml"):
        with pytest.raises(
            RecipeError, match=r"^there is no recipe .*: give a YAML file"
        ) as caught:
            Recipe.load(name)
        assert "x" * 101 not in str(caught.value)
