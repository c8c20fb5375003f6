"""Operations, memory and disk of a recipe's run, counted without computing anything.

The models are on PyTorch's meta device, which has shapes but no values. Counted are the
multiplications and additions of convolutions and matrix products, from the image to the logits and
back; the loss, element by element operations and reading the data are not.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from benchmarks.experiments.published_data import DataFacts
from protoxai.data import SegmentationDataset
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.training import Recipe, Stage
from protoxai.training.build_model import build_model
from protoxai.training.stages.actions import INITIAL_IMAGES
from protoxai.training.stages.checkpoints import Checkpoints
from protoxai.training.stages.optimisation import train_only, training_mode

# Adam keeps two numbers for each weight that it trains.
ADAM = 2
# Checkpoints within a stage that `Checkpoints` keeps.
KEPT = inspect.signature(Checkpoints).parameters["keep"].default
META = torch.device("meta")
Size = tuple[int, int]


@dataclass(frozen=True)
class Cost:
    """What a run takes.

    Attributes:
        training: Floating-point operations of the training batches.
        validation: Floating-point operations of the validations and evaluations.
        projection: Floating-point operations of k-means, projection and pruning.
        memory: Bytes of weights, gradients, optimizer and maps kept for the backward pass.
        disk: Largest number of bytes of checkpoints and model in the run folder.
    """

    training: int
    validation: int
    projection: int
    memory: int
    disk: int

    @property
    def operations(self) -> int:
        """All floating-point operations."""
        return self.training + self.validation + self.projection


def cost_of(recipe: Recipe, facts: DataFacts) -> Cost:
    """Count what a run of a recipe takes, without the baseline that it may ask for.

    Args:
        recipe: Recipe of the run.
        facts: Sizes of its data set.
    """
    model = build(recipe, facts.num_classes).to(META)
    data = recipe.data
    train = facts.images[data.train_split]
    projection = facts.images[data.projection_split or data.train_split]
    validation = facts.images[data.validation_split]
    evaluated, projected = image_sizes(recipe, facts)
    training = validating = projecting = memory = 0
    stored = []
    for stage in recipe.stages:
        if "initialise" in stage.before:
            projecting += INITIAL_IMAGES * image_operations(model, data.crop)
        if "group" in stage.before:
            cast(ScaleProtoSeg, model).group(stage.num_groups)
        batch = stage.batch_size or data.batch_size
        operations, kept = batch_cost(model, stage, batch, data.crop)
        training += stage.steps * stage.accumulate_grad_batches * operations
        if stage.cached_views:
            training += stage.cached_views * train * image_operations(model, data.crop)
        passes = validations(stage, train, batch) + 1 + len(stage.after)
        validating += passes * validation * image_operations(model, evaluated)
        searches = sum(action in ("project", "prune") for action in stage.after)
        if searches:
            projecting += searches * projection * image_operations(model, projected)
        trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
        weights = size_in_bytes(model)
        memory = max(memory, weights + (1 + ADAM) * trained + kept)
        stored.append((weights, weights + ADAM * trained))
    return Cost(training, validating, projecting, memory, run_folder_bytes(stored))


def build(recipe: Recipe, num_classes: int) -> Segmenter:
    """Return a recipe's model with random weights.

    Args:
        recipe: Recipe with the model.
        num_classes: Number of classes.
    """
    names = tuple(map(str, range(num_classes)))
    data = cast(SegmentationDataset, SimpleNamespace(class_names=names, num_classes=num_classes))
    untrained: dict[str, Any] = {"pretrained": False}
    return build_model(replace(recipe.model, **untrained), data)


def batch_cost(model: Segmenter, stage: Stage, batch: int, crop: Size) -> tuple[int, int]:
    """Return the operations of a training batch, and the bytes kept for its backward pass.

    Args:
        model: Model on the meta device, in the state in which the stage finds it.
        stage: Stage, whose frozen parts have no backward pass.
        batch: Number of images.
        crop: Height and width of the images.
    """
    train_only(model, stage)
    training_mode(model, stage)
    images = torch.empty(batch, 3, *crop, device=META)
    forward: Callable[[], Any] = lambda: model(images)  # noqa: E731
    if stage.cached_views:
        owner = cast(ScaleProtoSeg, model)
        with torch.no_grad():
            embedding = owner.embed(images)
        forward = lambda: owner.forward_embedding(embedding)  # noqa: E731
    storages: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with counting() as counter:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            output = forward()
            loss = sum(each.logits.sum() for each in (output, *output.auxiliary))
        loss.backward()
    model.zero_grad()
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept = (t.untyped_storage().nbytes() for key, t in storages.items() if key not in weights)
    return int(counter.get_total_flops()), sum(kept)


def image_operations(model: Segmenter, size: Size) -> int:
    """Return the operations from an image to its logits, without a gradient."""
    training = model.training
    with counting() as counter:
        model.eval().logits(torch.empty(1, 3, *size, device=META))
    model.train(training)
    return int(counter.get_total_flops())


def counting() -> FlopCounterMode:
    """Return a counter of operations, right for the gradients of grouped convolutions too."""
    backward: dict[Any, Any] = {torch.ops.aten.convolution_backward: _convolution_backward}
    return FlopCounterMode(display=False, custom_mapping=backward)


def _convolution_backward(grad: Size, images: Size, weight: Size, *rest: Any, **_: Any) -> int:
    """Return the operations of the gradients: each of the two has as many as the convolution."""
    transposed, has_gradient = rest[4], rest[7]
    shapes = (list(images), list(weight), list(grad))
    forward = int(conv_flop_count(*shapes, transposed=transposed))
    return (bool(has_gradient[0]) + bool(has_gradient[1])) * forward


def validations(stage: Stage, images: int, batch: int) -> int:
    """Return how often a stage on one process validates while it trains.

    Args:
        stage: The stage.
        images: Number of training images.
        batch: Number of images in a batch.
    """
    if stage.validate == "never":
        return 0
    if stage.validate == "epoch":
        every = max(1, images // (batch * stage.accumulate_grad_batches))
    else:
        every = stage.validate // stage.accumulate_grad_batches
    return stage.steps // every


def image_sizes(recipe: Recipe, facts: DataFacts) -> tuple[Size, Size]:
    """Return height and width of a typical image in evaluation and in projection."""
    size: Any = recipe.data.evaluation_size
    if size is None:
        size = facts.size
    elif isinstance(size, int):
        shorter = min(facts.size)
        height, width = (math.floor(side * size / shorter) for side in facts.size)
        size = (height, width)
    return size, facts.size if recipe.data.projection_size == "native" else size


def size_in_bytes(model: Segmenter) -> int:
    """Return the bytes of all weights and buffers."""
    state: Mapping[str, Any] = model.state_dict()
    return sum(value.nbytes for value in state.values() if isinstance(value, Tensor))


def run_folder_bytes(stages: list[tuple[int, int]]) -> int:
    """Return the most bytes that checkpoints and model folder take at once.

    Args:
        stages: Bytes of a checkpoint at the end of each stage and of one within it.
    """
    ended, largest = 0, 0
    for end, inside in stages:
        # One more while it is written, before the oldest goes.
        largest = max(largest, ended + (KEPT + 1) * inside)
        ended += end
    # The newest of the last stage, the one with which a further stage would begin, and the model.
    end, inside = stages[-1]
    return max(largest, ended + inside + 2 * end)
