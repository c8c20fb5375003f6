"""Shapes: an endless synthetic data set whose ground truth a person can check."""

from typing import Literal

import numpy as np
import torch

from protoxai.data.base import RawSample, SegmentationDataset, Transform
from protoxai.data.palette import distinct_palette
from protoxai.data.registry import register
from protoxai.data.shapes.objects import BLUEPRINTS
from protoxai.data.shapes.scene import draw_scene

SPLITS = ("train", "val")


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
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 32:
            raise ValueError(
                f"size={size!r}: give 32 pixels or more, so that small objects can be recognised"
            )
        if length < 1 or seed < 0:
            raise ValueError(
                f"length={length}, seed={seed}: give a length of 1 or more and a seed of 0 or more"
            )
        if split not in SPLITS:
            raise ValueError(f"Shapes has no split {split!r}, expected 'train' or 'val'")
        for name, bounds in (("objects", objects), ("clutter", clutter)):
            if not 0 <= bounds[0] <= bounds[1]:
                raise ValueError(f"{name}={bounds}: give (fewest, most), 0 or more")
        names = ("background", *(blueprint.name for blueprint in BLUEPRINTS))
        palette = ((40, 42, 48), *distinct_palette(len(BLUEPRINTS)))
        super().__init__(names, palette, transform=transform)
        self.size = (height, width)
        self.seed = seed
        self.split = split
        self.objects = objects
        self.clutter = clutter
        self._length = length

    def __len__(self) -> int:
        """Return the number of samples."""
        return self._length

    def raw(self, index: int) -> RawSample:
        """Draw the picture with that number, its labels and its parts."""
        self.check_index(index)
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), index])
        scene = draw_scene(rng, self.size, self.objects, self.clutter)
        image = torch.from_numpy((scene.image * 255).round().astype(np.uint8))
        return RawSample(
            image.permute(2, 0, 1).contiguous(),
            torch.from_numpy(scene.labels),
            id=f"{self.split}-{self.seed}-{index}",
            parts=torch.from_numpy(scene.parts),
        )
