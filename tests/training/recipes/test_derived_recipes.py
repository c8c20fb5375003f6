"""Recipes made from others: children, baselines, ProtoSeg."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from protoxai.training import Recipe, RecipeError
from tests.training.cases import micro, write


def child(folder: Path, changes: dict[str, Any], *, parent: str = "recipe.yaml") -> Path:
    path = folder / "child.yaml"
    path.write_text(yaml.safe_dump({"extends": parent, **changes}))
    return path


def test_a_recipe_extends_another_key_by_key(tmp_path: Path) -> None:
    write(micro(), tmp_path)
    changes = {
        "name": "child",
        "data": {"flip": 0.0},
        "stages": {"joint training": {"steps": 9, "losses": {"cross_entropy": 2.0}}},
    }
    recipe, parent = Recipe.load(child(tmp_path, changes)), Recipe.load(tmp_path / "recipe.yaml")
    first = replace(parent.stages[0], steps=9, losses={"cross_entropy": 2.0})
    assert recipe == replace(
        parent,
        name="child",
        data=replace(parent.data, flip=0.0),
        stages=[first, parent.stages[1]],
    )
    alone = Recipe.load(child(tmp_path, {"stages": {"grouping": None}}))
    assert alone.stages == parent.stages[:1]


def test_what_does_not_fit_in_a_child(tmp_path: Path) -> None:
    write(micro(), tmp_path)
    for changes, message in (
        ({"data": {"filp": 0}}, r"child\.yaml: there is no key data\.filp \(did you mean 'flip'"),
        ({"stages": {"groping": {}}}, r"stages changes 'groping' \(did you mean 'grouping'\?\)"),
        ({"stages": {"grouping": {"stepz": 1}}}, r"no key stages\[grouping\]\.stepz.*'steps'"),
    ):
        with pytest.raises(RecipeError, match=message):
            Recipe.load(child(tmp_path, changes))
    with pytest.raises(RecipeError, match=r"extends other\.yaml, but there is no file"):
        Recipe.load(child(tmp_path, {}, parent="other.yaml"))
    with pytest.raises(RecipeError, match="extends itself"):
        Recipe.load(child(tmp_path, {}, parent="child.yaml"))


def test_the_baseline_has_the_trunk_and_the_budget_and_no_prototypes(tmp_path: Path) -> None:
    recipe = Recipe.load(write(micro(), tmp_path), ["--baseline=true"])
    baseline = recipe.as_baseline()
    assert (baseline.name, baseline.baseline) == ("micro-deeplabv2", False)
    assert baseline.model == replace(
        recipe.model, architecture="LinearSegmenter", scales="atrous-sum"
    )
    (only,) = baseline.stages
    first = recipe.stages[0]
    assert (only.steps, only.schedule, only.warmup_steps) == (2, "polynomial", 1)
    assert only.learning_rates == {"backbone": 1e-3, "scales": 3e-3}
    assert (only.before, only.after, only.losses) == ((), (), {"cross_entropy": 1.0})
    assert (baseline.data, baseline.seed) == (recipe.data, recipe.seed)
    assert first.before == ("initialise",)


def test_protoseg_has_one_scale_and_no_groups(tmp_path: Path) -> None:
    recipe = Recipe.load(write(micro(), tmp_path))
    protoseg = recipe.as_protoseg()
    assert (protoseg.model.scales, protoseg.model.prototypes_per_scale) == ("atrous-sum", 10)
    assert protoseg.stages == recipe.stages[:1]
    assert recipe.as_protoseg(per_class=4).model.prototypes_per_scale == 4


def test_the_three_methods_on_camvid_share_trunk_data_and_steps() -> None:
    keys = {"data.root": "/data", "baseline": False}
    names = ("camvid", "camvid_protoseg", "camvid_deeplabv2")
    recipe, protoseg, plain = (Recipe.load(name, keys) for name in names)
    assert [r.method for r in (recipe, protoseg, plain)] == [
        "ScaleProtoSeg",
        "ProtoSeg",
        "DeepLabv2",
    ]
    assert plain == replace(recipe.as_baseline(), name="camvid_deeplabv2")
    model = replace(recipe.model, scales="atrous-sum", prototypes_per_scale=12)
    grouping = recipe.stages[1]
    last_layer = replace(
        grouping,
        name="last layer",
        before=(),
        after=(),
        learning_rates={"last_layer": grouping.learning_rates["last_layer"]},
        losses={name: grouping.losses[name] for name in ("cross_entropy", "off_class_l1")},
    )
    stages = [recipe.stages[0], last_layer]
    assert protoseg == replace(recipe, name="camvid_protoseg", model=model, stages=stages)
    # ScaleProtoSeg's prototypes of a class, on its four scales.
    assert len(recipe.model.atrous_rates) * recipe.model.prototypes_per_scale == 12
