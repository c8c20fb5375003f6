"""Tasks: an image and the class to explain in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn

from protoxai.attribution.target import logits_of
from protoxai.labels import labels_at
from protoxai.metrics.base.checks import SEED
from protoxai.runtime.batches import check_iterable, labelled_images
from protoxai.runtime.checks import NOT_NEGATIVE, function, positive, shown, whole
from protoxai.runtime.modes import evaluating
from protoxai.runtime.resize import resize

WithoutParts = Callable[[int, int], Iterable[Mapping[str, Any]]]
LEAST_SHARE = 0.01
"""Smallest share of an image's pixels that a class to explain has."""
TASKS = 50


class TaskName(NamedTuple):
    """What a task is.

    Attributes:
        task: Number of the task.
        image: Data set index of the image.
        class_index: Class to explain.
        group: Group of the image, such as its video.
    """

    task: int
    image: int | None
    class_index: int
    group: int | str | None


@dataclass(frozen=True)
class Task:
    """An image and a class to explain.

    Attributes:
        index: Number of the task, by which its values are kept; unique within a comparison.
        image: Normalised image, (1, 3, H, W).
        truth: Pixels that are labelled as the class, bool (1, H, W).
        class_index: Class to explain, int64 (1,).
        image_index: Data set index of the image; by default the number of the task.
        group: Group of the image, such as its video; by default the image is its own group.
        labels: Labels of the whole image, int64 (1, H, W), for metrics that ask what else is in it;
            None if only the truth is known.
        ignore_index: Label of pixels that do not count.
        background: Class of the background; None if there is none.
        without_parts: Function that returns samples with "image" (3, H, W): this image without one
            part of one object of the class each, with all else the same; None if the image cannot
            be redrawn.

    Raises:
        ValueError: If the truth is not where the labels are the class.
    """

    index: int
    image: Tensor
    truth: Tensor
    class_index: Tensor
    image_index: int | None = None
    group: int | str | None = None
    labels: Tensor | None = None
    ignore_index: int = 255
    background: int | None = None
    without_parts: Callable[[], Iterable[Mapping[str, Any]]] | None = None

    def __post_init__(self) -> None:
        if self.labels is not None and not torch.equal(
            self.truth, self.labels == self.class_index[:, None, None]
        ):
            raise ValueError(
                f"task {self.index}: the truth is not where the labels are the class "
                f"{int(self.class_index)}: give truth=labels == {int(self.class_index)}"
            )
        if self.image_index is None:
            object.__setattr__(self, "image_index", self.index)
        if self.group is None:
            object.__setattr__(self, "group", self.image_index)

    @property
    def name(self) -> TaskName:
        """The numbers of the task, its image, class and group."""
        return TaskName(self.index, self.image_index, int(self.class_index), self.group)

    def to(self, device: torch.device) -> Self:
        """Return the task with its tensors on a device."""
        own = {name: getattr(self, name) for name in ("image", "truth", "class_index", "labels")}
        return replace(self, **{name: t.to(device) for name, t in own.items() if t is not None})

    @torch.no_grad()
    def logits(self, model: nn.Module) -> Tensor:
        """Return a model's logits at the size of the image, (1, C, H, W)."""
        with evaluating(model):
            return resize(logits_of(model(self.image)), self.image.shape[2:])

    def region(self, model: nn.Module) -> Tensor:
        """Return the pixels that a model predicts as the class, bool (1, H, W)."""
        return self.region_of(self.logits(model))

    def region_of(self, logits: Tensor) -> Tensor:
        """Return the pixels at which logits (1, C, H, W) are highest for the class."""
        return logits.argmax(1) == self.class_index[:, None, None]


def select_tasks(
    samples: Iterable[Mapping[str, Any]],
    *,
    tasks: int | None = TASKS,
    ignore_index: int = 255,
    skip: Collection[int] = (),
    group_of: Callable[[int], int | str] | None = None,
    background: int | None = None,
    without_parts: WithoutParts | None = None,
    seed: int = 0,
) -> list[Task]:
    """Draw tasks from a data set, spread over its groups of images and over its images.

    A task is an image and a class that covers at least 1 % of it. The groups take turns, in random
    order; each turn draws an image of the group, and one of its classes. An image gives a second
    task after all images have given one. So any beginning of the list is spread as well.

    Args:
        samples: Samples with "image" (3, H, W), "labels" (H', W') and, optionally, "index". Of a
            data set, or a list, no more are read than needed; other iterables are kept in memory.
        tasks: Largest number of tasks; None for all.
        ignore_index: Label of pixels that do not count.
        skip: Classes that are not explained, such as a background.
        group_of: Function from a position in the samples to the group of the image, such as a data
            set's ``group``; None if each image is its own.
        background: Class of the background, which some metrics distinguish from the other classes;
            None if there is none.
        without_parts: Function of a position in the samples and a class that returns the sample
            without one part of one object of the class, for each such part, such as the method of
            a data set that can redraw its images. It is called when a metric asks for them. None
            if images cannot be redrawn.
        seed: Seed of the draw.

    Returns:
        The tasks, numbered from 0.

    Raises:
        ValueError: If the number of tasks is not positive, or another number out of its range.
        TypeError: If an argument is of another type.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[0, 0, 1, 2]])
        >>> samples = [{"image": torch.rand(3, 1, 4), "labels": labels}]
        >>> [task.name for task in select_tasks(samples, skip=[0, 1])]
        [TaskName(task=0, image=0, class_index=2, group=0)]
    """
    if tasks is not None:
        tasks = positive("tasks", tasks)
    if isinstance(skip, str) or not isinstance(skip, Collection):
        raise TypeError(f"skip is {shown(skip)}, expected a list of class numbers")
    left_out = [whole("skip", number, NOT_NEGATIVE) for number in skip]
    left_out.append(whole("ignore_index", ignore_index))
    if background is not None:
        background = whole("background", background, NOT_NEGATIVE)
    for name, given in (("group_of", group_of), ("without_parts", without_parts)):
        if given is not None:
            function(name, given)
    seed = whole("seed", seed, SEED)
    samples = check_iterable("samples", samples)
    if not (hasattr(samples, "__len__") and hasattr(samples, "__getitem__")):
        samples = list(samples)
    listed = cast(Sequence[Mapping[str, Any]], samples)
    generator = torch.Generator().manual_seed(seed)
    groups = None if group_of is None else [group_of(place) for place in range(len(listed))]
    order = _by_turns(range(len(listed)) if groups is None else groups, generator)

    def tasks_at(place: int) -> list[Task]:
        tasks = _tasks_of(listed[place], place, left_out, ignore_index)
        group = None if groups is None else groups[place]
        tasks = [replace(task, group=group, background=background) for task in tasks]
        if without_parts is None:
            return tasks
        return [
            replace(task, without_parts=partial(without_parts, place, int(task.class_index)))
            for task in tasks
        ]

    drawn = _drawn(order, tasks_at, generator)
    return [replace(task, index=number) for number, task in enumerate(islice(drawn, tasks))]


def _by_turns(groups: Sequence[Hashable], generator: torch.Generator) -> list[int]:
    """Return all places in random order, in which the groups take turns."""
    members: dict[Hashable, list[int]] = {}
    for place in torch.randperm(len(groups), generator=generator).tolist():
        members.setdefault(groups[place], []).append(place)
    turns = [(turn, place) for own in members.values() for turn, place in enumerate(own)]
    # The sort is stable, so that the groups keep their random order within a turn.
    return [place for _, place in sorted(turns, key=lambda entry: entry[0])]


def _drawn(
    order: Sequence[int], tasks_at: Callable[[int], list[Task]], generator: torch.Generator
) -> Iterator[Task]:
    """Yield tasks, one of each image in order, then a second one of those with more classes."""
    waiting: list[list[Task]] = []
    for place in order:
        tasks = tasks_at(place)
        shuffled = [tasks[n] for n in torch.randperm(len(tasks), generator=generator).tolist()]
        yield from shuffled[:1]
        waiting.append(shuffled[1:])
    while waiting := [tasks for tasks in waiting if tasks]:
        for tasks in waiting:
            yield tasks.pop(0)


def _tasks_of(
    sample: Mapping[str, Any], place: int, left_out: list[int], ignore_index: int
) -> list[Task]:
    """Return a task for each class that covers enough of an image, in the order of the classes."""
    image, labels = labelled_images("samples", sample, dims="")
    labels = labels_at(labels, (image.shape[1], image.shape[2])).long()[None]
    classes, pixels = labels.unique(return_counts=True)
    enough = pixels >= LEAST_SHARE * labels.numel()
    enough &= torch.isin(classes, torch.tensor(left_out), invert=True)
    index = int(sample.get("index", place))
    return [
        Task(
            0,
            image[None],
            labels == own,
            own[None],
            index,
            labels=labels,
            ignore_index=ignore_index,
        )
        for own in classes[enough]
    ]
