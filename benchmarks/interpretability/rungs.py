"""Rungs of the sanity ladder: explainers of known quality, and a model whose reasons are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoxai.attribution import AttributionMethod
from protoxai.attribution.reference_maps import SMOOTHNESS
from protoxai.comparison import Task, explainers_of, select_tasks
from protoxai.data.shapes import Shapes
from protoxai.metrics.explanation.blur import gaussian_blur

NOISES = ("smooth_noise", "pixel_noise")
NULL_MAPS = (*NOISES, "constant")
REPORTED = ("edges", "blob")
"""Maps that are reported only: the classes of some data lie in the middle, or on edges."""
REFERENCES = (*NOISES, "edges")
"""Those of both that are registered explainers."""
KNOWN_REAL = ("InputXGradient", "IntegratedGradients", "Occlusion")
"""Explainers of the known model; it has no feature maps for those of layers."""

GAIN = 4.0
WIDE = 100.0
PART_WEIGHTS = (1.0, -1.0, 0.5, -0.5)
"""Weights of the parts of an object, in the order in which they are painted."""
CLASS_WEIGHTS = (0.0, 1.0, -1.0, 0.5, -0.5, 1.0, -1.0, 0.5, -0.5)
"""Weights of the classes around an object; the background has none."""
PART_EFFECT, CLASS_EFFECT = 0.4, 0.15
"""Effect on the logit, before the gain, of all of a part or of a class of weight 1."""
STRONGEST = 0.45
"""Largest absolute value in a painted picture, without the texture."""


class KnownModel(nn.Module):
    """A model whose reasons are known exactly, for the pictures of :class:`Painter`.

    The score of a pixel is ``GAIN`` times the sum of two things: the mean of the first channel over
    the 3x3 pixels around it, and ``WIDE`` times the mean of the second and the third channel over
    the whole picture. Half of it is the logit of class 1, minus a half of it that of class 0. So
    the first channel decides where the region is, and all pixels of the others, inside and outside
    of the region, decide how sure the model is there.

    It is linear in the image, and 0 for a neutral one, so that the contributions of its pixels are
    exact, see :func:`contributions`.

    Example:
        >>> KnownModel()(torch.ones(2, 3, 8, 8)).shape
        torch.Size([2, 2, 8, 8])
    """

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.far = nn.Conv2d(2, 1, 1, bias=False)
        nn.init.constant_(self.near.weight, GAIN / 9)
        nn.init.constant_(self.far.weight, GAIN * WIDE)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, 2, H, W) of images (B, 3, H, W)."""
        wide: Tensor = self.far(images[:, 1:].mean((2, 3), keepdim=True))
        score = (self.near(images[:, :1]) + wide) / 2
        return torch.cat([-score, score], 1)


def contributions(images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
    """Return what each pixel contributes to the known model's mean logit over a region.

    The logit is linear in the image, and 0 for a neutral one, so a pixel contributes its weight
    times its value, and the contributions sum to the logit.

    Args:
        images: Images (B, 3, H, W).
        region: Pixels to explain, bool (B, H, W).
        class_index: Class of each image, int64 (B,).
    """
    inside = region[:, None].to(images.dtype)
    # The mean over the region of means over 3x3 pixels weighs a pixel by its neighbours in it.
    near = F.avg_pool2d(inside, 3, 1, 1) / inside.sum((2, 3), keepdim=True)
    far = torch.full_like(near, WIDE / region[0].numel())
    weights = GAIN / 2 * torch.cat([near, far, far], 1)
    return (weights * images).sum(1) * (2 * class_index.to(images) - 1)[:, None, None]


class Painter:
    """Repaints a picture of Shapes in the colours that the known model reads, around 0.

    - Channel 1: high on the objects of the class, low elsewhere, with some of the picture's
      texture.
    - Channel 2: the weight of the part, on the parts of these objects.
    - Channel 3: the weight of the class, on the objects of the others.

    A part, or another class, has the same effect whether it is large or small, except that a very
    small one has less: the larger its area, the fainter it is painted.

    Args:
        sample: Sample of Shapes.
        shapes: The data set.
        own: Class to explain.
    """

    def __init__(self, sample: Mapping[str, Any], shapes: Shapes, own: int) -> None:
        self.own = own
        weights = [0.0] * len(shapes.part_class)
        numbers = [n for n, of_class in enumerate(shapes.part_class) if of_class == own]
        for number, weight in zip(numbers, PART_WEIGHTS, strict=False):
            weights[number] = PART_EFFECT * weight
        others = [CLASS_EFFECT * weight for weight in CLASS_WEIGHTS]
        others[own] = 0.0
        self.parts = _faint(sample["parts"], weights)
        self.classes = _faint(sample["labels"], others)

    def __call__(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return the sample repainted; its labels are 1 for the class, 2 for the others, else 0.

        Args:
            sample: The sample, or the same with some of it removed.
        """
        labels = sample["labels"]
        mine = labels == self.own
        texture = 0.1 * (sample["image"][0] - 0.5)
        objects = STRONGEST * (2 * mine.float() - 1) + texture
        image = torch.stack([objects, self.parts[sample["parts"]], self.classes[labels]])
        known = torch.where(mine, 1, 2 * (labels > 0).long())
        return {"image": image, "labels": known, "index": sample["index"]}


def _faint(numbers: Tensor, effects: Sequence[float]) -> Tensor:
    """Return a value for each number, such that all its pixels together have the effect."""
    shares = numbers.flatten().bincount(minlength=len(effects)) / numbers.numel()
    return (torch.tensor(effects) / (WIDE * shares).clamp(min=1e-6)).clamp(-STRONGEST, STRONGEST)


def known_tasks(count: int, size: int = 96) -> list[Task]:
    """Return tasks for the known model: the largest class of each of the first pictures of Shapes.

    Args:
        count: Number of pictures.
        size: Height and width of the pictures.
    """
    shapes = Shapes(size=size, length=count, split="val")
    samples = list(shapes)
    largest = [int(s["labels"][s["labels"] > 0].bincount().argmax()) for s in samples]
    painters = [Painter(s, shapes, own) for s, own in zip(samples, largest, strict=True)]

    def without_parts(place: int, _class_index: int) -> Iterator[dict[str, Any]]:
        return map(painters[place], shapes.without_parts(place, largest[place]))

    pictures = [paint(sample) for paint, sample in zip(painters, samples, strict=True)]
    drawn = select_tasks(
        pictures, tasks=None, skip=[0, 2], background=0, without_parts=without_parts
    )
    # In the order of the images, by whose numbers the metrics seed their noise.
    tasks = [replace(task, index=int(task.image_index or 0)) for task in drawn]
    return sorted(tasks, key=lambda task: task.index)


Explain = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Function of images, regions and classes that returns maps (B, H, W)."""


class Rung(AttributionMethod):
    """A map of known quality, as an explainer; a reference, because it explains nothing itself.

    Args:
        name: Name of the rung.
        model: Model that is explained.
        explain: Function that returns the maps.
    """

    reference = True

    def __init__(self, name: str, model: nn.Module, explain: Explain) -> None:
        super().__init__(name, model)
        self.explain = explain

    @torch.no_grad()
    def attribute(self, images: Tensor, region: Tensor, class_index: Tensor) -> tuple[Tensor, None]:
        """Return the maps (B, H, W), and no units."""
        return self.explain(images, region, class_index), None

    def __repr__(self) -> str:
        return f"Rung({self.name!r})"


def rungs(
    model: nn.Module,
    tasks: Sequence[Task],
    real: Sequence[str] | None = None,
    *,
    exact: bool = False,
) -> list[AttributionMethod]:
    """Return the explainers of a ladder.

    Args:
        model: Model that is explained.
        tasks: Tasks, whose labels are the truth.
        real: Names of registered explainers; None for those that a comparison has by default.
        exact: Whether the exact contributions of the model's pixels are known.
    """
    best: dict[str, Explain] = {"perfect": contributions} if exact else {}
    best["truth"] = partial(truth, tasks)
    blurred: dict[str, Explain] = {
        f"{name}, blurred": partial(_blurred, explain) for name, explain in best.items()
    }
    inverted: dict[str, Explain] = {
        f"{name}, inverted": partial(_inverted, explain) for name, explain in best.items()
    }
    known = explainers_of([model], real, references=False)
    known += explainers_of([model], REFERENCES, references=False)
    owner = known[0].name.split(": ")[0]

    def named(maps: Mapping[str, Explain]) -> list[AttributionMethod]:
        return [Rung(f"{owner}: {name}", model, explain) for name, explain in maps.items()]

    return [
        *named(best | blurred),
        *known,
        *named({"constant": _constant, "blob": _blob} | inverted),
    ]


def truth(tasks: Sequence[Task], images: Tensor, _region: Tensor, class_index: Tensor) -> Tensor:
    """Return where the labels are the class, also for slightly changed images of the tasks."""
    near = [min(tasks, key=lambda task: float((task.image - i).square().sum())) for i in images]
    labels = [task.labels for task in near if task.labels is not None]
    return (torch.cat(labels) == class_index[:, None, None]).to(images)


def _blurred(explain: Explain, images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
    maps = explain(images, region, class_index)[:, None]
    return gaussian_blur(maps, images.shape[2] / SMOOTHNESS)[:, 0]


def _inverted(explain: Explain, images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
    """Return the negative of a map; of a mask, which has no negative values, what it leaves out."""
    maps = explain(images, region, class_index)
    return -maps if bool((maps < 0).any()) else 1 - maps


def _constant(images: Tensor, _region: Tensor, _class_index: Tensor) -> Tensor:
    return torch.ones_like(images[:, 0])


def _blob(images: Tensor, _region: Tensor, _class_index: Tensor) -> Tensor:
    """Return a Gaussian in the middle of the image, with a standard deviation of a quarter."""
    rows, columns = (
        torch.exp(-8 * torch.linspace(-0.5, 0.5, length).square()) for length in images.shape[2:]
    )
    return (rows[:, None] * columns).expand(len(images), -1, -1).to(images)
