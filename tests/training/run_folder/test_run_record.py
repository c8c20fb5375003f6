"""Which keys may change when a run continues."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protoxai.training import Recipe
from protoxai.training.run_folder.run_record import differences, plain_recipe
from tests.training.cases import micro, write

Change = Callable[[dict[str, Any]], object]


def changed_keys(folder: Path, change: Change, prepare: Change = lambda keys: None) -> list[str]:
    """Return the differences that a change of the micro recipe makes."""
    plain = []
    for changes in ((prepare,), (prepare, change)):
        keys = micro()
        for apply in changes:
            apply(keys)
        plain.append(plain_recipe(Recipe.load(write(keys, folder))))
    return differences(*plain)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda keys: keys.update(log_every=3, loggers=[], checkpoint_every=9, name="x"), []),
        (lambda keys: keys["data"].update(workers=2, evaluation_batch_size=1), []),
        (lambda keys: keys["data"].update(root="/elsewhere", validation_split="train"), []),
        (
            lambda keys: keys["data"].update(batch_size=3, flip=0.1, antialias=False),
            ["data.antialias", "data.batch_size", "data.flip"],
        ),
        (lambda keys: keys["data"]["options"].update(length=9), ["data.options.length"]),
        (lambda keys: keys.update(precision="bf16-mixed"), ["precision"]),
        (lambda keys: keys["stages"][1].update(steps=9), ["stages.grouping.steps"]),
        (lambda keys: keys["stages"].pop(), ["stages"]),
        (lambda keys: keys["stages"][1].update(name="x"), ["stages"]),
        # Prototypes are projected on images of that size.
        (lambda keys: keys["data"].update(evaluation_size=[64, 64]), ["data.evaluation_size"]),
    ],
)
def test_only_keys_that_change_training_differ(
    tmp_path: Path, change: Change, expected: list[str]
) -> None:
    assert changed_keys(tmp_path, change) == expected


def test_the_evaluation_changes_training_only_where_a_stage_depends_on_it(tmp_path: Path) -> None:
    def evaluation(keys: dict[str, Any]) -> None:
        keys["data"].update(evaluation_size=[64, 64], validation_split="train")

    def without_projection(keys: dict[str, Any]) -> None:
        keys["stages"][0].update(after=[])

    def native_projection(keys: dict[str, Any]) -> None:
        keys["data"].update(projection_size="native")

    def validating(keys: dict[str, Any]) -> None:
        keys["stages"][0].update(after=[], validate="epoch")

    assert changed_keys(tmp_path, evaluation, without_projection) == []
    assert changed_keys(tmp_path, evaluation, native_projection) == []
    assert changed_keys(tmp_path, native_projection, without_projection) == []
    assert changed_keys(tmp_path, native_projection) == ["data.projection_size"]
    assert changed_keys(tmp_path, evaluation, validating) == [
        "data.evaluation_size",
        "data.validation_split",
    ]
