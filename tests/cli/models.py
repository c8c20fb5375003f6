"""Saved models and runs for the tests of commands."""

from pathlib import Path
from typing import Any

import yaml

from protoxai import ScaleProtoSeg, project_prototypes
from protoxai.data import create_dataset
from protoxai.training.feeding.loaders import projection_loader
from protoxai.training.recipes.recipe import Recipe
from tests.training.cases import micro


def saved_run(folder: Path, *, grouped: bool = True, **options: Any) -> ScaleProtoSeg:
    """Write a run folder of an untrained, projected model on synthetic shapes, and return it."""
    keys = micro()
    keys["data"]["options"]["length"] = 2
    keys["stages"][1]["losses"]["off_class_l1"] = 0.01
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(keys))
    recipe = Recipe.load(folder / "recipe.yaml")
    data = create_dataset("shapes", split="train", **recipe.data.options)
    chosen = {"prototypes_per_scale": 1, "prototype_dim": 4, "atrous_rates": (1, 2), **options}
    model = ScaleProtoSeg(
        "timm/test_resnet",
        data.num_classes,
        pretrained=False,
        class_names=data.class_names,
        **chosen,
    )
    project_prototypes(model, projection_loader(data, recipe.data, model))
    if grouped:
        model.group(2)
    model.save_pretrained(folder / "model")
    return model.eval()
