"""Memoised scores and explanations, so that none is computed twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from protoxai.attribution import AttributionMethod, SegmentationTarget
from protoxai.attribution.target import logits_of
from protoxai.comparison.tasks import Task
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.explanation.part_intervention import PartDrops, part_drops
from protoxai.runtime.checks import shown
from protoxai.runtime.finite import check_each
from protoxai.runtime.modes import evaluating
from protoxai.runtime.resize import resize

PROBLEM = "the explanation of {image} has values that are NaN or infinite"
FIX = "repair the explainer"


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """Return a digest of the tensors' types, shapes and values.

    Example:
        >>> import torch
        >>> one, other = torch.zeros(2), torch.tensor([0.0, 1e-30])
        >>> fingerprint([one]) == fingerprint([one.clone()]) != fingerprint([other])
        True
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class MemoizedScore:
    """Score of images that remembers the score of every image.

    The explainers of a model share most of the images that metrics score: the original and the
    blurred one, those between them in a random order, and those with noise.

    Args:
        score: Function of images (n, 3, H, W) that returns one number each, (n,), which does not
            depend on the other images of the batch.

    Example:
        >>> import torch
        >>> score = MemoizedScore(lambda images: images.sum((1, 2, 3)))
        >>> score(torch.ones(2, 3, 1, 1)), score(torch.zeros(1, 3, 1, 1))
        (tensor([3., 3.]), tensor([0.]))
    """

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        self._score = score
        self._known: dict[str, Tensor] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Return the scores (n,), detached."""
        keys = [fingerprint([image]) for image in images]
        new = {key: row for row, key in enumerate(keys) if key not in self._known}
        if new:
            scores = self._score(images[list(new.values())]).detach()
            self._known.update(zip(new, scores, strict=True))
        return torch.stack([self._known[key] for key in keys])


class ModelTask:
    """A task together with the model's predicted region, shared by the model's explainers.

    Args:
        model: Model that is explained.
        task: Task.

    Attributes:
        task: The task, on the model's device.
        region: Pixels that the model predicts as the class, bool (1, H, W).
        runner_up: Other class with the highest mean logit over the region, int64 (1,); None if the
            model has no other class.
        softmax: Function of images (n, 3, H, W) that returns the class's mean softmax over the
            region, (n,).
        logit: Function of images that returns the class's mean logit over the region, (n,).
    """

    def __init__(self, model: nn.Module, task: Task) -> None:
        parameter = next(model.parameters(), None)
        self._model = model
        self.task = task if parameter is None else task.to(parameter.device)
        logits = self.task.logits(model)
        self.region = self.task.region_of(logits)
        self.runner_up = _runner_up(logits, self.region, self.task.class_index)
        self.softmax, self.logit = (
            MemoizedScore(partial(self._score, SegmentationTarget(model, output=output)))
            for output in ("softmax", "logits")
        )

    @cached_property
    def part_drops(self) -> PartDrops:
        """The parts that can be removed from the image, and the logit's drop without each."""
        samples = () if self.task.without_parts is None else self.task.without_parts()
        images = map(_image_of, samples)
        return part_drops(self._logit_map, self.task.image, images, self.region[0])

    @torch.no_grad()
    def _logit_map(self, images: Tensor) -> Tensor:
        """Return the class's logits (n, H, W) at the size of images (n, 3, H, W)."""
        with evaluating(self._model):
            logits = logits_of(self._model(images))
        return resize(logits[:, self.task.class_index], images.shape[2:])[:, 0]

    def _score(self, target: SegmentationTarget, images: Tensor) -> Tensor:
        region = self.region.expand(len(images), -1, -1)
        scores: Tensor = target(images, region, self.task.class_index.expand(len(images)))
        return scores


def _image_of(sample: object) -> Tensor:
    """Return the image of a sample that ``without_parts`` has returned."""
    if not isinstance(sample, Mapping) or "image" not in sample:
        raise TypeError(
            f'without_parts returned {shown(sample)}, expected mappings with "image" (3, H, W)'
        )
    image: Tensor = sample["image"]
    return image


def _runner_up(logits: Tensor, region: Tensor, class_index: Tensor) -> Tensor | None:
    """Return the other class with the highest mean logit over a region, int64 (1,)."""
    if logits.shape[1] == 1:
        return None
    # The sum has the order of the mean, and is not NaN for an empty region.
    totals = logits[0, :, region[0]].double().sum(1)
    totals[class_index] = -torch.inf
    return totals.argmax()[None]


class Explanations:
    """The explanations of one task, each computed when it is first used.

    Args:
        task: Task.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._predicted: dict[nn.Module, ModelTask] = {}
        self._explained: dict[AttributionMethod, ExplainedTask] = {}

    def of(self, explainer: AttributionMethod) -> ExplainedTask:
        """Return an explainer's explanation; explainers of a model share its predictions."""
        if explainer not in self._explained:
            self._explained[explainer] = _explained(explainer, self._of_model(explainer.model))
        return self._explained[explainer]

    def _of_model(self, model: nn.Module) -> ModelTask:
        if model not in self._predicted:
            self._predicted[model] = ModelTask(model, self.task)
        return self._predicted[model]


def _explained(explainer: AttributionMethod, own: ModelTask) -> ExplainedTask:
    attribution = explainer(own.task.image, own.region, own.task.class_index)
    if attribution.map.shape != own.region.shape:
        raise ValueError(
            f"the map of {explainer.name} has the shape {tuple(attribution.map.shape)}, "
            f"expected {tuple(own.region.shape)}: resize it to the image"
        )
    if bool(own.region.any()):
        # The values over an empty region are NaN.
        check_each(attribution.map, PROBLEM, [own.task.image_index], FIX)
    return ExplainedTask(
        index=own.task.index,
        image=own.task.image,
        class_index=own.task.class_index,
        truth=own.task.truth,
        region=own.region,
        map=attribution.map,
        units=attribution.units,
        cost=attribution.cost,
        model=explainer.model,
        softmax=own.softmax,
        logit=own.logit,
        explain=lambda *arguments: explainer(*arguments).map,
        image_index=own.task.image_index,
        group=own.task.group,
        labels=own.task.labels,
        ignore_index=own.task.ignore_index,
        background=own.task.background,
        runner_up=own.runner_up,
        part_drops=None if own.task.without_parts is None else lambda: own.part_drops,
    )
