from dataclasses import fields
from inspect import signature

import pytest

from protoxai import ScaleProtoSeg
from protoxai.training import ModelRecipe

KEYS = {field.name: field for field in fields(ModelRecipe)}


def test_every_option_of_the_model_that_text_can_express_is_a_key() -> None:
    arguments = signature(ScaleProtoSeg).parameters
    options = set(arguments) - {"backbone", "num_classes", "table", "feature_channels"}
    assert options - {"class_names"} == set(KEYS) - {
        "architecture",
        "backbone",
        "batchnorm_momentum",
    }
    for name in options - {"class_names"}:
        assert KEYS[name].default == arguments[name].default, name


def test_sequences_are_tuples_and_recipes_do_not_change() -> None:
    recipe = ModelRecipe(backbone="timm/resnet50", atrous_rates=(1, 2))
    assert recipe.atrous_rates == (1, 2)
    assert "atrous_rates=(1, 2)" in repr(recipe)
    with pytest.raises(TypeError, match="atrous_rate"):
        ModelRecipe(backbone="timm/resnet50", atrous_rate=(1, 2))
    with pytest.raises(AttributeError):
        recipe.backbone = "other"  # type: ignore[misc]
