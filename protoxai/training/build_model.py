"""The model of a recipe."""

from __future__ import annotations

from dataclasses import fields

import torch

from protoxai.data import SegmentationDataset
from protoxai.model.linear import LinearSegmenter
from protoxai.model.options import PrototypeOptions, options_of
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.training.recipes.model_recipe import ModelRecipe

# Arguments of the models that are no options, and keys that belong to the recipe alone.
OWN_KEYS = ("architecture", "backbone", "batchnorm_momentum")


def build_model(recipe: ModelRecipe, data: SegmentationDataset) -> Segmenter:
    """Build a recipe's model for the classes of a data set.

    Args:
        recipe: The model section of the recipe.
        data: The data set, which names the classes.

    Raises:
        ValueError: If an option does not fit.
    """
    options = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    options = {name: value for name, value in options.items() if name not in OWN_KEYS}
    options["class_names"] = data.class_names
    model: Segmenter
    if recipe.architecture == "LinearSegmenter":
        of_prototypes = options_of(PrototypeOptions)
        trunk = {name: value for name, value in options.items() if name not in of_prototypes}
        model = LinearSegmenter(recipe.backbone, data.num_classes, **trunk)
    else:
        model = ScaleProtoSeg(recipe.backbone, data.num_classes, **options)
    if recipe.batchnorm_momentum is not None:
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = recipe.batchnorm_momentum
    return model.to(memory_format=torch.channels_last)
