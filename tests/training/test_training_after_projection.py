"""Stages that train what the projection has looked at: the patches are dropped, and it is said."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from protoxai import ScaleProtoSeg
from protoxai.training import Recipe, run
from protoxai.training.recipes.yaml_files import RecipeError
from tests.training.cases import micro, write

DROPPED = "again trains backbone, scales, prototypes: the prototypes are no longer the training"


def twice_trained(after: list[str]) -> dict[str, Any]:
    """Stage 1 of the recipe, trained again after its projection."""
    keys = micro()
    joint = keys["stages"][0]
    again = {**deepcopy(joint), "name": "again", "before": [], "after": after}
    return {**keys, "stages": [joint, again], "loggers": []}


def test_patches_are_dropped_before_the_trunk_is_trained_again(tmp_path: Path) -> None:
    log: list[str] = []
    recipe = Recipe.load(write(twice_trained([]), tmp_path))
    result = run(recipe, tmp_path / "run", log=log.append, progress=False)
    assert [DROPPED in line for line in log].count(True) == 1
    assert DROPPED in (tmp_path / "run" / "log.txt").read_text()
    assert result.model.projection is None
    saved = ScaleProtoSeg.from_pretrained(tmp_path / "run" / "model")
    assert {(p.provenance, p.patch) for p in saved.prototypes} == {(None, None)}


def test_a_second_projection_finds_new_ones(tmp_path: Path) -> None:
    recipe = Recipe.load(write(twice_trained(["project"]), tmp_path))
    model = run(recipe, tmp_path / "run", log=lambda _: None, progress=False).model
    assert len(model.provenance) == len(model.table)


def test_prototypes_that_have_moved_since_cannot_be_pruned(tmp_path: Path) -> None:
    expected = "again: prune needs projected prototypes: project first"
    with pytest.raises(RecipeError, match=expected):
        Recipe.load(write(twice_trained(["prune"]), tmp_path))
