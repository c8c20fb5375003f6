"""Tasks: an image and the class to explain in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from protoxai.attribution.target import logits_of
from protoxai.labels import labels_at
from protoxai.runtime.batches import check_iterable, labelled_images
from protoxai.runtime.checks import NOT_NEGATIVE, positive, shown, whole
from protoxai.runtime.modes import evaluating
from protoxai.runtime.resize import resize


@dataclass(frozen=True)
class Task:
    """An image and a class to explain.

    Attributes:
        index: Data set index of the image.
        image: Normalised image, (1, 3, H, W).
        truth: Pixels that are labelled as the class, bool (1, H, W).
        class_index: Class to explain, int64 (1,).
    """

    index: int
    image: Tensor
    truth: Tensor
    class_index: Tensor

    def to(self, device: torch.device) -> Self:
        """Return the task with its tensors on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("image", "truth", "class_index")}
        return replace(self, **moved)

    @torch.no_grad()
    def region(self, model: nn.Module) -> Tensor:
        """Return the pixels that a model predicts as the class, bool (1, H, W)."""
        with evaluating(model):
            logits = resize(logits_of(model(self.image)), self.image.shape[2:])
        return logits.argmax(1) == self.class_index[:, None, None]


def select_tasks(
    samples: Iterable[Mapping[str, Any]],
    *,
    images: int | None = None,
    ignore_index: int = 255,
    skip: Collection[int] = (),
) -> list[Task]:
    """Return a task for each image: to explain the class that covers most of its labelled pixels.

    Args:
        samples: Samples with "image" (3, H, W), "labels" (H', W') and, optionally, "index".
        images: Largest number of tasks; None for all images.
        ignore_index: Label of pixels that do not count.
        skip: Classes that are not explained, such as a background.

    Returns:
        A task for each image with a class to explain.

    Raises:
        ValueError: If the number of images is not positive, or a class number is negative.
        TypeError: If one of them is no whole number.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[0, 0, 1, 2]])
        >>> [task] = select_tasks([{"image": torch.rand(3, 1, 4), "labels": labels}], skip=[0])
        >>> task.class_index, task.truth
        (tensor([1]), tensor([[[False, False,  True, False]]]))
    """
    if images is not None:
        images = positive("images", images)
    if isinstance(skip, str):
        raise TypeError(f"skip is {shown(skip)}, expected a list of class numbers")
    if not isinstance(skip, Collection):
        raise TypeError(f"skip is {shown(skip)}, expected a list of class numbers")
    skip = [whole("skip", number, NOT_NEGATIVE) for number in skip]
    ignore_index = whole("ignore_index", ignore_index)
    tasks: list[Task] = []
    for number, sample in enumerate(check_iterable("samples", samples)):
        if images is not None and len(tasks) >= images:
            break
        image, labels = labelled_images("samples", sample, dims="")
        image = image[None]
        labels = labels_at(labels, (image.shape[2], image.shape[3]))
        counted = torch.isin(labels, torch.tensor([ignore_index, *skip]), invert=True)
        if bool(counted.any()):
            largest = labels[counted].bincount().argmax()
            index = int(sample.get("index", number))
            tasks.append(Task(index, image, (labels == largest)[None], largest[None]))
    return tasks
