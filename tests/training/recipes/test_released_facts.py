"""Every recipe of a released training against the table of what is known of it, key by key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from protoxai.data.ade20k.classes import CLASSES as ADE20K
from protoxai.data.cityscapes import CLASSES as CITYSCAPES
from protoxai.data.coco_stuff.classes import CLASSES as COCO_STUFF
from protoxai.data.em import CLASSES as EM
from protoxai.data.pascal.parts import VOC_CLASSES
from protoxai.training import Recipe, Stage
from tests.training.cases import stage

FOLDER = Path(__file__).parents[3] / "benchmarks" / "recipes"
CLASSES = {
    "pascal_voc": len(VOC_CLASSES),
    "cityscapes": len(CITYSCAPES),
    "ade20k": len(ADE20K),
    "coco_stuff": len(COCO_STUFF),
    "em": len(EM),
}
METHODS = ("protoseg", "deeplabv2")
OURS = ("camvid", "shapes")
"""Data sets that no released training is of."""
RECIPES = sorted(path.stem for path in FOLDER.glob("*.yaml") if not path.stem.startswith(OURS))
SOURCES = {"paper", "release", "deeplabv2", "ours"}

Facts = Mapping[str, Any]


@cache
def table() -> Facts:
    """Return the table of facts."""
    content: Facts = yaml.safe_load(Path(__file__).with_name("released_facts.yaml").read_text())
    return content


def load(name: str) -> Recipe:
    return Recipe.load(name, ["--data.root=/nowhere"])


def known(name: str) -> dict[str, Any]:
    """Return the facts about a recipe by their keys; those about every stage for each stage."""
    dataset, _, method = name.rpartition("_") if name.endswith(METHODS) else (name, "", "")
    found = {}
    for key, values in table()["facts"].items():
        for place in (name, method, dataset, "all"):
            if place in values:
                found[key] = values[place]
                break
    stages = found["stages"]
    facts = {key: value for key, value in found.items() if not key.startswith("stages.")}
    for every in (True, False):
        for key, value in found.items():
            section, _, rest = key.partition(".")
            owner, _, last = rest.partition(".")
            if section == "stages" and (owner == "*") == every:
                owners = stages if every else {owner} & set(stages)
                facts.update({f"stages.{stage}.{last}": value for stage in owners})
    return facts


def published(recipe: Recipe) -> dict[str, Any]:
    """Return the keys of a recipe in the terms of the table, without those that are free."""
    keys: dict[str, Any] = {}
    for section in ("data", "model"):
        keys |= {f"{section}.{k}": v for k, v in _fields(getattr(recipe, section)).items()}
    keys |= {k: v for k, v in _fields(recipe).items() if k not in ("data", "model", "stages")}
    keys["data.classes"] = CLASSES[recipe.data.dataset]
    scales = 1 if recipe.model.scales == "atrous-sum" else len(recipe.model.atrous_rates)
    has_prototypes = recipe.model.architecture == "ScaleProtoSeg"
    per_class = keys.pop("model.prototypes_per_scale") * scales * has_prototypes
    keys["model.prototypes_per_class"] = per_class
    keys["model.prototypes"] = per_class * keys["data.classes"]
    keys["target"], _, rest = recipe.target.partition(" (")
    keys["target_includes"], _, _ = rest.partition(";")  # the source follows
    keys["stages"] = [stage.name for stage in recipe.stages]
    for one in recipe.stages:
        keys |= {f"stages.{one.name}.{k}": v for k, v in _of_stage(one).items()}
    return {key: _plain(value) for key, value in keys.items() if key not in table()["free"]}


def _of_stage(one: Stage) -> dict[str, Any]:
    keys = _fields(one)
    del keys["name"]
    keys["batches_per_step"] = keys.pop("accumulate_grad_batches")
    keys["batches"] = keys.pop("steps") * keys["batches_per_step"]
    return keys


def _fields(section: Any) -> dict[str, Any]:
    return {field.name: getattr(section, field.name) for field in dataclasses.fields(section)}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def differences(recipe: Recipe, name: str) -> dict[str, tuple[Any, Any]]:
    """Return the keys in which a recipe and the facts differ, with both values."""
    facts, keys = known(name), published(recipe)
    nothing = "no such key"
    return {
        key: (facts.get(key, nothing), keys.get(key, nothing))
        for key in sorted({*facts, *keys})
        if facts.get(key, nothing) != keys.get(key, nothing)
    }


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_the_released_training_in_every_key(name: str) -> None:
    assert differences(load(name), name) == {}


def test_every_released_data_set_and_method_has_a_recipe() -> None:
    three = [f"{name}_{method}" for name in list(CLASSES)[:3] for method in METHODS]
    assert sorted([*CLASSES, *three]) == RECIPES


TRAINING_IMAGES = {"pascal_voc": 10_582, "cityscapes": 2975, "ade20k": 20_210, "em": 20}


@pytest.mark.parametrize("name", CLASSES)
def test_no_stage_has_more_validations_than_its_patience(name: str) -> None:
    # The first is always the best so far, so no stage ends early.
    recipe = load(name)
    for one in recipe.stages:
        batches = one.steps * one.accumulate_grad_batches
        every = one.validate
        if not isinstance(every, int):
            every = TRAINING_IMAGES[name] // recipe.data.batch_size
        assert one.patience is None or batches // every <= one.patience


def test_every_fact_has_a_source_and_concerns_a_recipe() -> None:
    places = {*RECIPES, *METHODS, "all", "source"}
    for key, values in table()["facts"].items():
        source = values["source"]
        sources = source if isinstance(source, dict) else {"all": source}
        assert set(sources) <= places - {"source"}, key
        assert set(sources.values()) <= SOURCES, key
        assert set(values) <= places, key
        assert len(values) > 1, key


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda r: dataclasses.replace(r, seed=1), "seed"),
        (lambda r: dataclasses.replace(r, target="val mIoU 77.69"), "target"),
        (
            lambda r: dataclasses.replace(r, data=dataclasses.replace(r.data, options={"a": 1})),
            "data.options",
        ),
        (
            lambda r: dataclasses.replace(r, data=dataclasses.replace(r.data, antialias=True)),
            "data.antialias",
        ),
        (
            lambda r: dataclasses.replace(
                r, model=dataclasses.replace(r.model, prototypes_per_scale=4)
            ),
            "model.prototypes",
        ),
        (lambda r: dataclasses.replace(r, stages=[*r.stages, stage(name="one more")]), "stages"),
        (lambda r: dataclasses.replace(r, stages=r.stages[:-1]), "stages.group joint.batches"),
        (
            lambda r: dataclasses.replace(
                r, stages=[dataclasses.replace(r.stages[0], steps=15_000), *r.stages[1:]]
            ),
            "stages.warm-up.batches",
        ),
    ],
)
def test_a_change_is_found(change: Any, key: str) -> None:
    assert key in differences(change(load("pascal_voc")), "pascal_voc")


def test_a_key_that_is_in_no_fact_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {key: value for key, value in table()["facts"].items() if key != "stages.*.power"}
    shorter = {**table(), "facts": facts}
    monkeypatch.setattr(f"{__name__}.table", lambda: shorter)
    found = differences(load("em"), "em")
    assert found == {
        f"stages.{name}.power": ("no such key", 0.9)
        for name in ("group joint", "joint", "last layer")
    }
