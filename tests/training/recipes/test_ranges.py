"""Numbers and names of recipes: from YAML, as overrides, and from Python."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from protoxai.training import DataRecipe, ModelRecipe, Recipe, RecipeError, Stage
from protoxai.training.recipes.construct import field_types
from tests.training.cases import micro, stage, write

NAN, INF = float("nan"), float("inf")
OF_STAGES: list[tuple[str, Any]] = [
    *[("steps", value) for value in (0, -1, None, 1.5, NAN, INF, 10**30, "0", "1e9")],
    *[("accumulate_grad_batches", value) for value in (0, -5)],
    *[("power", value) for value in (-0.1, NAN, INF, "nan", 10**400)],
    *[("warmup_steps", value) for value in (-1, 0.5)],
    *[("batch_size", value) for value in (0, -2, 10**9)],
    *[("cached_views", value) for value in (-1, True)],
    *[("num_groups", value) for value in (0, 10**9)],
    *[("threshold", value) for value in (1.0, 5.0, -0.1, NAN)],
    *[("patience", value) for value in (0, -1)],
    *[("validate", value) for value in (0, -2, 1.5, True, None, "always", 10**10)],
    *[("learning_rates", {"scales": value}) for value in (0.0, -1.0, NAN, INF, None)],
    *[("weight_decay", {"scales": value}) for value in (-5.0, NAN)],
    *[("losses", {"cross_entropy": value}) for value in (NAN, INF, -INF, True)],
]
OF_RECIPES: list[tuple[str, Any]] = [
    *[("seed", value) for value in (-1, 2**32, None, 0.5)],
    *[(key, value) for key in ("checkpoint_every", "log_every") for value in (0, -1, None)],
    *[(key, None) for key in ("precision", "loggers", "baseline", "target", "plugins", "stages")],
    *[("data.workers", value) for value in (-1, 10**9)],
    *[("data.crop", value) for value in ([0, 5], [5, -1], [5, 10**9], [NAN, 5])],
    *[("data.scale_range", value) for value in ([2.0, 1.0], [0.0, 1.0], [-1.0, 1.0], [1.0, INF])],
    *[(f"data.{key}", value) for key in ("flip", "color_jitter") for value in (-0.1, 1.1, NAN)],
    *[("data.evaluation_size", value) for value in (0, 1, [0, 5], [5], NAN)],
    *[("data.projection_size", value) for value in (64, None, "own")],
    *[("data.antialias", value) for value in (0, None, "maybe")],
    *[("data.class_balance", value) for value in (-1.0, INF)],
    *[("data.batch_size", value) for value in (0, -1)],
    *[("data.options", {"size": value}) for value in (NAN, {1, 2}, {1: 2}, object())],
    *[("data.root", value) for value in ("", "a\0b", "\ud800")],
    *[("model.prototypes_per_scale", value) for value in (0, -1, 10**9)],
    *[("model.atrous_rates", value) for value in ([0], [1, -1])],
    *[("model.batchnorm_momentum", value) for value in (0.0, 1.5, NAN)],
    *[("model.epsilon", value) for value in (0.0, -1.0, NAN)],
    *[("name", value) for value in ("", "../..", "a\nb", "...")],
]


@pytest.mark.parametrize(("key", "value"), OF_STAGES)
def test_numbers_of_stages(error_of, key: str, value: Any) -> None:
    inner = key + "".join(f".{part}" for part in value) if isinstance(value, dict) else key
    message = error_of(lambda recipe: recipe["stages"][0].update({key: value}))
    assert message.startswith(f"stages[joint training].{inner} is ")
    assert "expected a" in message
    with pytest.raises(RecipeError, match=rf"^{inner} is .*expected a"):
        stage(**{key: value})
    with pytest.raises(RecipeError, match=rf"^{inner} is "):
        dataclasses.replace(stage(), **{key: value})


@pytest.mark.parametrize(("key", "value"), OF_RECIPES)
def test_numbers_and_names_of_recipes(tmp_path, key: str, value: Any) -> None:
    path = write(micro(), tmp_path)
    last = key.rpartition(".")[2]
    with pytest.raises(RecipeError, match=rf"^{path}: .*{last}.* expected ") as caught:
        Recipe.load(path, {key: value})
    assert "\n" not in str(caught.value)
    recipe = Recipe.load(path)
    section = getattr(recipe, key.partition(".")[0]) if "." in key else recipe
    with pytest.raises(RecipeError, match=last):
        dataclasses.replace(section, **{last: value})


def test_every_number_has_a_range() -> None:
    for kind in (Recipe, DataRecipe, ModelRecipe, Stage):
        for name, hint in field_types(kind).items():
            plain = str(hint).replace("bool", "")
            if "int" in plain or "float" in plain:
                assert "Range(" in plain, f"{kind.__name__}.{name}"


def test_values_from_python_are_kept_as_declared(tmp_path) -> None:
    data = DataRecipe(dataset="shapes", root=tmp_path, crop=[np.int64(3), 4], flip=np.float32(0.5))  # type: ignore[arg-type]
    assert (data.root, data.crop, data.flip) == (str(tmp_path), (3, 4), 0.5)
    assert [type(value) for value in (data.root, *data.crop, data.flip)] == [str, int, int, float]
    with pytest.raises(RecipeError, match=r"^crop is 3, expected a list of 2"):
        DataRecipe(dataset="shapes", crop=3)  # type: ignore[arg-type]


def test_quoted_values_are_cut(error_of) -> None:
    for change in (
        lambda recipe: recipe.update(seed="x" * 10**5),
        lambda recipe: recipe.update({"y" * 10**5: 1}),
        lambda recipe: recipe["stages"][0].update(name="z" * 10**5, steps=0),
        lambda recipe: recipe["data"].update(options={"k" * 10**5: float("nan")}),
    ):
        message = error_of(change)
        assert "..." in message
        assert len(message) < 600


def test_nesting_without_end_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["self"] = endless
    with pytest.raises(RecipeError, match=r"^options\.self\..*nested too deeply"):
        DataRecipe(dataset="shapes", crop=(1, 1), options=endless)
    with pytest.raises(RecipeError, match=r"^steps is a int too large to show, expected"):
        stage(steps=10**5000)
