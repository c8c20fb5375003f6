"""The parts of the model that a stage trains, its optimizer and its schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from protoxai.heads.groups import SparseGroupHead
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.training.recipes.stage_recipe import Stage
from protoxai.training.recipes.yaml_files import RecipeError


def part_parameters(model: Segmenter, part: str) -> list[nn.Parameter]:
    """Return the parameters of a part of the model.

    Args:
        model: Any model of the library.
        part: Name of the part: backbone, scales, prototypes, groups or last_layer.

    Raises:
        RecipeError: If the model does not have that part in its current stage.
    """
    parts: dict[str, Callable[[], list[nn.Parameter]]] = {
        "backbone": lambda: list(model.backbone.parameters()),
        "scales": lambda: list(model.scales.parameters()),
    }
    if isinstance(model, ScaleProtoSeg):
        head, layer = model.head, model.prototype_layer
        parts["prototypes"] = lambda: [layer.prototypes]
        parts["last_layer"] = lambda: [head.weight]
        if isinstance(head, SparseGroupHead):
            parts["groups"] = lambda: [head.group_parameter]
    if part not in parts:
        raise RecipeError(
            f"a stage trains the {part}, which this {type(model).__name__} does not have; it has "
            f"{', '.join(parts)} (groups come with the action group)"
        )
    return parts[part]()


def train_only(model: Segmenter, stage: Stage) -> None:
    """Make the stage's parts trainable, and freeze all others."""
    model.requires_grad_(False)
    for part in stage.learning_rates:
        for parameter in part_parameters(model, part):
            parameter.requires_grad_(True)
    if model.freeze_batchnorm:
        model.train()


def build_optimizer(model: Segmenter, stage: Stage) -> torch.optim.Optimizer:
    """Return the stage's optimizer, with one parameter group per part, named after it."""
    groups = [
        {
            "name": part,
            "params": [p for p in part_parameters(model, part) if p.requires_grad],
            "lr": rate,
            "weight_decay": stage.weight_decay.get(part, 0.0),
        }
        for part, rate in stage.learning_rates.items()
    ]
    if stage.optimizer == "adamw":
        return torch.optim.AdamW(groups)
    return torch.optim.Adam(groups)


def build_schedule(optimizer: torch.optim.Optimizer, stage: Stage, start: int = 0) -> LambdaLR:
    """Return the schedule of the learning rates over the optimizer steps: warm-up, then decay.

    Args:
        optimizer: Optimizer whose learning rates are scheduled.
        stage: Stage with its schedule.
        start: Number of optimizer steps of the stage that are done already.
    """

    def factor(new_steps: int) -> float:
        step = start + new_steps
        warm = min(1.0, (step + 1) / (stage.warmup_steps + 1))
        if stage.schedule == "constant":
            return warm
        left = 1 - min(step, stage.steps) / stage.steps
        return warm * math.pow(left, stage.power)

    return LambdaLR(optimizer, factor)


def keep_feasible(model: Segmenter, stage: Stage) -> None:
    """Bring bounded prototypes back into their bounds, after every optimizer step."""
    if isinstance(model, ScaleProtoSeg) and "prototypes" in stage.learning_rates:
        model.prototype_layer.clamp_()


def training_mode(model: Segmenter, stage: Stage) -> None:
    """Set training mode, except for the batch statistics of frozen parts."""
    model.train()
    for part, module in (("backbone", model.backbone), ("scales", model.scales)):
        if part not in stage.learning_rates:
            module.eval()
