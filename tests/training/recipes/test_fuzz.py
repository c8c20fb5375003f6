"""Damaged and random recipes: a recipe that is right, or one line about what is wrong."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protoxai.training import Recipe, RecipeError
from protoxai.training.run_folder.run_record import plain_recipe
from tests.training.cases import micro

TEXT = yaml.safe_dump(micro())
PIECES = [b"*a", b"&a ", b"<<: ", b"!!int ", b"[", b"]", b"{", b"}", b"\n", b"\t", b": ", b"- "]
PIECES += [
    b"null",
    b".nan",
    b"-.inf",
    b"1e9",
    b"-1",
    b"0",
    b"010",
    b"\xff",
    b"\0",
    b"'",
    b'"',
    b"%",
]
PIECES += ["é".encode(), b"extends: shapes\n", b"extends: recipe.yaml\n", b"stages: {}\n"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([0, -1, 10**9, float("nan"), "1e-3", "", "../x", [], {}, [[]], {"a": None}]),
    st.recursive(st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=5),
)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value, from the outside to the inside."""
    found = [path] if path else []
    keys = (
        content
        if isinstance(content, dict)
        else range(len(content))
        if isinstance(content, list)
        else ()
    )
    for key in keys:
        found += places(content[key], (*path, key))
    return found


@st.composite
def damaged_text(draw: st.DrawFn) -> bytes:
    """Return a recipe's text in which pieces are inserted, overwritten or cut."""
    content = TEXT.encode()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        content = content[:start] + draw(st.sampled_from(PIECES)) + content[end:]
    return content


@st.composite
def changed_values(draw: st.DrawFn) -> bytes:
    """Return a recipe in which a value or two are replaced or removed."""
    keys = micro()
    for _ in range(draw(st.integers(1, 2))):
        *outer, last = draw(st.sampled_from(places(keys)))
        content: Any = keys
        for key in outer:
            content = content[key]
        if draw(st.booleans()):
            content[last] = draw(VALUES)
        else:
            del content[last]
    return yaml.safe_dump(keys, allow_unicode=draw(st.booleans())).encode("utf-8", "surrogatepass")


def check(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_bytes(content)
        try:
            recipe = Recipe.load(path)
        except RecipeError as error:
            message = str(error)
            assert message.startswith(folder), message
            assert len(message.splitlines()) == 1, message
            assert len(message) < 1000, message
        else:
            assert recipe.stages
            assert all(1 <= stage.steps <= 10**9 for stage in recipe.stages)
            path.write_text(yaml.safe_dump(plain_recipe(recipe)))
            assert Recipe.load(path) == recipe


SOURCES = st.one_of(damaged_text(), changed_values(), st.binary(max_size=60))
QUICK = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=150, suppress_health_check=QUICK)
@given(SOURCES)
def test_any_file_is_a_recipe_or_one_line(content: bytes) -> None:
    check(content)


@pytest.mark.nightly
@settings(max_examples=20_000, suppress_health_check=QUICK)
@given(SOURCES)
def test_any_of_many_files_is_a_recipe_or_one_line(content: bytes) -> None:
    check(content)
