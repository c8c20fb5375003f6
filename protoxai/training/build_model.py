"""The model of a recipe."""

from __future__ import annotations

from typing import Any

import torch

from protoxai.data import SegmentationDataset
from protoxai.model.linear import LinearSegmenter
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.training.recipes.recipe import ModelRecipe


def build_model(recipe: ModelRecipe, data: SegmentationDataset) -> Segmenter:
    """Build a recipe's model, for the classes of a data set.

    Raises:
        ValueError: if an argument is unknown or does not fit.
    """
    options: dict[str, Any] = {
        "scales": recipe.scales,
        "input_scales": recipe.input_scales,
        "output_stride": recipe.output_stride,
        "feature_levels": recipe.feature_levels,
        "atrous_rates": recipe.atrous_rates,
        "init_gain": recipe.init_gain,
        "freeze_batchnorm": recipe.freeze_batchnorm,
        "pretrained": recipe.pretrained,
        "class_names": data.class_names,
    }
    model: Segmenter
    if recipe.architecture == "LinearSegmenter":
        model = LinearSegmenter(recipe.backbone, data.num_classes, **options)
    else:
        model = ScaleProtoSeg(
            recipe.backbone,
            data.num_classes,
            prototypes_per_scale=recipe.prototypes_per_scale,
            prototype_dim=recipe.prototype_dim,
            bounded_prototypes=recipe.bounded_prototypes,
            **options,
        )
    if recipe.batchnorm_momentum is not None:
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = recipe.batchnorm_momentum
    return model.to(memory_format=torch.channels_last)
