"""Shapes: an endless synthetic data set whose ground truth a person can check."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch

from protoxai.data.base import RawSample, SegmentationDataset, Transform
from protoxai.data.registry import register
from protoxai.data.shapes.objects import BLUEPRINTS
from protoxai.data.shapes.scene import Scene, draw_scene
from protoxai.runtime.checks import NOT_NEGATIVE, Range, choice, pair, whole
from protoxai.runtime.palette import distinct_palette

SPLITS = ("train", "val")
# Small objects cannot be recognised in smaller pictures.
PIXELS, LENGTH = Range(least=32, most=10_000), Range(least=1, most=10**12)


class ObjectPart(NamedTuple):
    """A part of one object in a picture.

    Attributes:
        object: Number of the object, from 0, in the order of painting.
        part: Number of the part, see ``part_names``.
    """

    object: int
    part: int


@register("shapes")
class Shapes(SegmentationDataset):
    """Objects made of named parts, of sizes that differ sixfold, on a cluttered background.

    There are eight classes of objects and the background (class 0). A wheel has spokes, a tyre and
    a hub; a sign has a plate and a bar; and so on (``part_names``). All classes share their paints
    and textures, and the background contains single pieces that look like parts (rings, discs,
    bars). Neither the colour nor a small patch determines the class: a model has to recognise how
    parts are put together, over short and long distances.

    A person can check the results: a prototype of "wheel" at a small scale should be on a spoke, a
    tyre or a hub, and a ring alone should not count as a wheel or a key. ``parts`` is the true part
    of every pixel (0 for the background, and for the gaps in wheels, ladders and keys).

    Sample ``i`` depends on ``(size, objects, clutter, seed, split, i)`` alone; ``length`` only
    limits the number of samples.

    Args:
        size: Height and width in pixels, or one number for both, 32 or more.
        length: Number of samples.
        seed: Seed of the pictures, 0 or more; no two seeds have a picture in common.
        split: Split, ``"train"`` or ``"val"``; the splits have no picture in common.
        transform: Transform of each sample, see :class:`SegmentationDataset`.
        objects: Fewest and most objects per picture; there are fewer if not all of them fit.
        clutter: Fewest and most single pieces per picture; there are fewer if not all of them fit.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> shapes = Shapes(size=96, length=100)
        >>> shapes.class_names[:4], shapes.part_names[:4]
        (('background', 'wheel', 'flower', 'sign'),
         ('none', 'wheel spokes', 'wheel tyre', 'wheel hub'))
        >>> sample = shapes[7]
        >>> sample["image"].shape, sample["labels"].shape, sample["parts"].shape, sample["id"]
        (torch.Size([3, 96, 96]), torch.Size([96, 96]), torch.Size([96, 96]), 'train-0-7')
    """

    part_names: tuple[str, ...] = ("none", *(f"{b.name} {p}" for b in BLUEPRINTS for p in b.parts))
    """Name of every part number."""
    part_class: tuple[int, ...] = (0, *(k for k, b in enumerate(BLUEPRINTS, 1) for _ in b.parts))
    """Class that every part number belongs to."""

    def __init__(
        self,
        size: int | tuple[int, int] = 160,
        length: int = 1000,
        seed: int = 0,
        split: Literal["train", "val"] = "train",
        transform: Transform | None = None,
        *,
        objects: tuple[int, int] = (2, 6),
        clutter: tuple[int, int] = (3, 8),
    ) -> None:
        if not isinstance(size, Sequence):
            size = (whole("size", size, PIXELS),) * 2
        choice("split", split, SPLITS)
        objects, clutter = _bounds("objects", objects), _bounds("clutter", clutter)
        names = ("background", *(blueprint.name for blueprint in BLUEPRINTS))
        palette = ((40, 42, 48), *distinct_palette(len(BLUEPRINTS)))
        super().__init__(names, palette, transform=transform)
        self.size = pair("size", size, PIXELS)
        self.seed = whole("seed", seed, NOT_NEGATIVE)
        self.split = split
        self.objects = objects
        self.clutter = clutter
        self._length = whole("length", length, LENGTH)

    def __len__(self) -> int:
        """Return the number of samples."""
        return self._length

    def raw(self, index: int) -> RawSample:
        """Draw the picture with that number, its labels and its parts."""
        return _sample(self._scene(index), self._id(index))

    def visible_parts(self, index: int) -> tuple[ObjectPart, ...]:
        """Return the parts that a picture shows, object by object.

        Args:
            index: Number of the picture.

        Raises:
            IndexError: If there is no such picture.

        Example:
            >>> shapes = Shapes(size=96, objects=(1, 1))
            >>> [(number, shapes.part_names[part]) for number, part in shapes.visible_parts(1)]
            [(0, 'key shaft'), (0, 'key teeth'), (0, 'key bow')]
        """
        scene = self._scene(index)
        shown = scene.parts > 0
        pairs = np.stack([scene.objects[shown], scene.parts[shown]], 1)
        return tuple(ObjectPart(*pair) for pair in np.unique(pairs, axis=0).tolist())

    def raw_without(self, index: int, removed: tuple[int, int]) -> RawSample:
        """Draw a picture without one part of one object.

        Nothing else changes: what is behind the part shows, and every other pixel, the noise
        included, is the same. Labels and parts are those of the new picture; gaps, such as those
        between a wheel's spokes, still belong to the object.

        Args:
            index: Number of the picture.
            removed: Number of the object and of the part, one of :meth:`visible_parts`.

        Raises:
            IndexError: If there is no such picture.
            TypeError: If ``removed`` is not a pair of whole numbers.
            ValueError: If the object is not in the picture, or has no such part.

        Example:
            >>> shapes = Shapes(size=96, objects=(1, 1))
            >>> shaft, teeth, bow = shapes.visible_parts(1)
            >>> raw = shapes.raw_without(1, teeth)
            >>> raw.parts.unique().tolist() == [0, shaft.part, bow.part]
            True
        """
        number, part = pair("removed", removed, NOT_NEGATIVE)
        scene = self._scene(index, (number, part))
        if part not in self._parts_of(scene, number):
            raise ValueError(
                f"removed is {tuple(removed)}, but picture {index} has no such part: expected one "
                f"of visible_parts({index})"
            )
        name = self.part_names[part].replace(" ", "-")
        return _sample(scene, f"{self._id(index)}-without-{name}-{number}")

    def raw_without_parts(self, index: int, class_index: int) -> Iterable[RawSample]:
        """Draw a picture without one visible part of one object of a class, for each such part."""
        own = whole("class_index", class_index, NOT_NEGATIVE)
        parts = [each for each in self.visible_parts(index) if self.part_class[each.part] == own]
        return (self.raw_without(index, each) for each in parts)

    def _scene(self, index: int, without: tuple[int, int] | None = None) -> Scene:
        self.check_index(index)
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), index])
        return draw_scene(rng, self.size, self.objects, self.clutter, without)

    def _parts_of(self, scene: Scene, number: int) -> list[int]:
        """Return the parts that an object of a scene has; none if there is no such object."""
        classes = dict(enumerate(scene.classes))
        return [part for part, own in enumerate(self.part_class) if own == classes.get(number)]

    def _id(self, index: int) -> str:
        return f"{self.split}-{self.seed}-{index}"


def _sample(scene: Scene, name: str) -> RawSample:
    image = torch.from_numpy((scene.image * 255).round().astype(np.uint8))
    return RawSample(
        image.permute(2, 0, 1).contiguous(),
        torch.from_numpy(scene.labels),
        id=name,
        parts=torch.from_numpy(scene.parts),
    )


def _bounds(name: str, bounds: tuple[int, int]) -> tuple[int, int]:
    fewest, most = pair(name, bounds, Range(least=0, most=10_000))
    if fewest > most:
        raise ValueError(f"{name} is {bounds}, expected (fewest, most)")
    return fewest, most
