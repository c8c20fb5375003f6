"""The memory of a real training step on the CPU, to compare the count with."""

from __future__ import annotations

from typing import Any, cast

import torch

from benchmarks.experiments.training_cost import build, size_in_bytes
from benchmarks.speed.measure import peak_memory
from protoxai.losses import ScaleProtoSegLoss
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.training import Recipe
from protoxai.training.stages.optimisation import build_optimizer, train_only, training_mode


def measured_memory(recipe: Recipe, num_classes: int) -> int:
    """Return the most bytes allocated at once in a training step of a recipe's first stage.

    The model has random weights, the images random pixels. Scratch space of libraries does not
    count.

    Args:
        recipe: Recipe, whose model has prototypes.
        num_classes: Number of classes.
    """
    stage, data = recipe.stages[0], recipe.data
    model = build(recipe, num_classes)
    train_only(model, stage)
    training_mode(model, stage)
    optimizer = build_optimizer(model, stage)
    weights: dict[str, Any] = stage.loss_weights
    criterion = ScaleProtoSegLoss(**weights)
    images = torch.rand(data.batch_size, 3, *data.crop)
    # Squares of one class, as objects are.
    squares = torch.randint(num_classes, (data.batch_size, 4, 4))
    rows, columns = (torch.arange(side) * 4 // side for side in data.crop)
    labels = squares[:, rows][:, :, columns]

    def step() -> None:
        optimizer.zero_grad()
        criterion(model(images), labels, cast(ScaleProtoSeg, model).head)["loss"].backward()
        optimizer.step()

    # The gradients of the step before are released within the measured one, which counts its own.
    peak = peak_memory(step)
    state = [value for each in optimizer.state.values() for value in each.values()]
    return size_in_bytes(model) + sum(int(value.nbytes) for value in state) + peak
