"""What all explainers are asked: an image, a class in it, and the region that the model gave it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from protoxai.attribution.target import logits_of
from protoxai.labels import labels_at
from protoxai.runtime.modes import evaluating
from protoxai.runtime.resize import resize


@dataclass(frozen=True)
class Question:
    """An image and a class to explain.

    Attributes:
        index: data set index of the image.
        image: normalised, (1, 3, H, W).
        truth: bool (1, H, W), where the image's labels say the class is.
        class_index: the class, int64 (1,).
    """

    index: int
    image: Tensor
    truth: Tensor
    class_index: Tensor

    def to(self, device: torch.device) -> Self:
        """Return the question with its tensors on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("image", "truth", "class_index")}
        return replace(self, **moved)

    @torch.no_grad()
    def region(self, model: nn.Module) -> Tensor:
        """Return the pixels that the model predicts as the class, bool (1, H, W)."""
        with evaluating(model):
            logits = resize(logits_of(model(self.image)), self.image.shape[2:])
        return logits.argmax(1) == self.class_index[:, None, None]


def ask(
    samples: Iterable[Mapping[str, Any]],
    *,
    images: int | None = None,
    ignore_index: int = 255,
    skip: Collection[int] = (),
) -> list[Question]:
    """Ask, of each image, for the class that covers most of its labelled pixels.

    Args:
        samples: with "image" (3, H, W), "labels" (H', W') and, if known, "index".
        images: how many of them; None: all.
        ignore_index: label of pixels that do not count.
        skip: classes not to ask for, such as a background.

    Returns:
        A question for each image that shows a class to ask for.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[0, 0, 1, 2]])
        >>> [question] = ask([{"image": torch.rand(3, 1, 4), "labels": labels}], skip=[0])
        >>> question.class_index, question.truth
        (tensor([1]), tensor([[[False, False,  True, False]]]))
    """
    questions: list[Question] = []
    for number, sample in enumerate(samples):
        if images is not None and len(questions) >= images:
            break
        image, labels = sample["image"][None], sample["labels"]
        labels = labels_at(labels, (image.shape[2], image.shape[3]))
        left = torch.isin(labels, torch.tensor([ignore_index, *skip]), invert=True)
        if bool(left.any()):
            chosen = labels[left].bincount().argmax()
            index = int(sample.get("index", number))
            questions.append(Question(index, image, (labels == chosen)[None], chosen[None]))
    return questions
